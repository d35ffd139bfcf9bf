"""The page and the files beside it."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from lab.proof.report.page import NOTE, write_report
from lab.proof.spike.outcome import Outcome
from lab.proof.strategies import OURS, STRATEGIES, TITLES
from tests.unit.lab.proof.report.document import Document
from tests.unit.lab.proof.report.outcomes import FAULTS, leaky, nothing, ours

OVER_TIME = ["clients", "decisions", "instances", "latency", "requests"]
HOSTILE = "\"'></svg></table><script>alert(1)</script><img src=x onerror=alert(1)>&amp; $title $\\frac{1}{0}$ \x00\n%"


def svgs(folder: Path) -> list[str]:
    return sorted(file.stem for file in folder.glob("*.svg"))


def test_one_run_has_a_page_and_a_file_per_chart(tmp_path: Path) -> None:
    page = write_report(tmp_path / "new" / "folder", "A drop", [ours()])
    assert page == tmp_path / "new" / "folder" / "index.html"
    assert svgs(page.parent) == OVER_TIME


def test_several_runs_are_drawn_side_by_side_too(tmp_path: Path) -> None:
    write_report(tmp_path, "A drop", [leaky(), ours()])
    assert svgs(tmp_path) == sorted([*OVER_TIME, "strategies"])


def test_a_chart_of_an_earlier_report_does_not_stay(tmp_path: Path) -> None:
    write_report(tmp_path, "A drop", [leaky(), ours()])
    (tmp_path / "mine.svg").touch()
    write_report(tmp_path, "A drop", [ours()])
    assert svgs(tmp_path) == sorted([*OVER_TIME, "mine"])


def test_every_number_of_a_run_is_in_the_table(tmp_path: Path) -> None:
    names = [field.name for field in fields(Outcome) if field.type in ("int", "float")]
    numbers: dict[str, Any] = {
        name: 1001 + 13 * place for place, name in enumerate(names) if name not in ("instances", "stock")
    }
    run = replace(ours(), **numbers)
    document = Document(write_report(tmp_path, "A drop", [run]))
    shown = " ".join(cell for row in document.tables["All numbers"] for cell in row)
    assert [name for name, number in numbers.items() if f"{number:,}" not in shown] == []


def test_each_run_has_its_own_column(tmp_path: Path) -> None:
    document = Document(write_report(tmp_path, "A drop", [leaky(), ours()]))
    assert document.tables["All numbers"][0] == ["", TITLES["never-closed"], TITLES[OURS]]
    assert document.row("All numbers", "accepted") == ["4,000", "12,000"]
    assert document.row("All numbers", "peak clients / limit") == ["249 / 250", "204 / 250"]
    assert document.row("Failed requests by status or kind", "timeout") == ["771", "0"]


def test_the_page_says_how_to_read_it_and_how_to_repeat_it_and_what_it_is_not(tmp_path: Path) -> None:
    document = Document(write_report(tmp_path, "A drop", [leaky(), ours()], command="lab spike --orders 5 > it"))
    assert document.text.count("How to read this.") == 6
    assert "lab spike --orders 5 > it" in document.text
    assert NOTE in document.text


def test_a_run_in_which_nothing_happened_still_gives_a_page(tmp_path: Path) -> None:
    document = Document(write_report(tmp_path, "A drop", [nothing()]))
    assert document.row("All numbers", "accepted") == ["0"]
    assert svgs(tmp_path) == OVER_TIME
    assert "no samples" in document.text


def test_runs_with_and_without_samples_share_a_page(tmp_path: Path) -> None:
    write_report(tmp_path, "A drop", [nothing(), leaky(), ours()])
    assert "scheduled" in (tmp_path / "requests.svg").read_text()


def test_faults_alone_are_a_report_without_charts(tmp_path: Path) -> None:
    document = Document(write_report(tmp_path, "Faults", [], FAULTS))
    assert svgs(tmp_path) == []
    assert document.row("The app under faults", "Service Bus drops every link")[:3] == ["3 orders lost", "2,391", "3"]


@pytest.mark.parametrize("faults", [None, {}, {"faults": []}])
def test_nothing_to_report_is_an_error(tmp_path: Path, faults: dict[str, list[object]] | None) -> None:
    with pytest.raises(ValueError, match="at least one run or one fault"):
        write_report(tmp_path, "A drop", [], faults)


def hostile_page(folder: Path) -> Path:
    run = replace(leaky(HOSTILE), failures={HOSTILE: 3}, cpu_s={HOSTILE: 1.0}, machine={HOSTILE: HOSTILE})
    fault = {**FAULTS["faults"][1], "title": HOSTILE, "broken": [HOSTILE], "client_errors": {HOSTILE: 1}}
    return write_report(folder, HOSTILE, [run, ours()], {"faults": [fault]}, command=HOSTILE)


def test_hostile_texts_are_only_texts(tmp_path: Path) -> None:
    document = Document(hostile_page(tmp_path))
    assert not {"script", "img"} & {tag for tag, _ in document.tags}
    assert [name for _, attributes in document.tags for name in attributes if name.startswith("on")] == []
    assert document.text.count("<script>alert(1)</script>") >= 9


def test_charts_with_hostile_texts_are_xml(tmp_path: Path) -> None:
    hostile_page(tmp_path)
    for chart in tmp_path.glob("*.svg"):
        ElementTree.parse(chart)  # noqa: S314 - it is ours


def test_the_page_loads_nothing(tmp_path: Path) -> None:
    page = write_report(tmp_path, "A drop", [leaky(), ours()], FAULTS)
    text = re.sub(r'xmlns(:xlink)?="[^"]+"', "", page.read_text())
    assert "http://" not in text
    assert "https://" not in text
    assert "@import" not in text
    assert [target for target in re.findall(r"url\(([^)]*)\)", text) if not target.startswith("#")] == []
    loads = [
        value
        for tag, attributes in Document(page).tags
        for name, value in attributes.items()
        if name in ("src", "href", "xlink:href", "srcset", "data") and not str(value).startswith(("#", "data:"))
    ]
    assert loads == []


def test_every_tag_is_closed_and_every_id_is_there_once(tmp_path: Path) -> None:
    document = Document(write_report(tmp_path, "A drop", [leaky(), ours()], FAULTS, "again"))
    ids = [attributes["id"] for _, attributes in document.tags if "id" in attributes]
    assert document.open == []
    assert len(ids) == len(set(ids)) > 0


def test_every_chart_tells_in_words_what_it_shows(tmp_path: Path) -> None:
    document = Document(write_report(tmp_path, "A drop", [leaky(), ours()]))
    words = [str(attributes["aria-label"]) for tag, attributes in document.tags if tag == "svg"]
    assert len(words) == 6
    assert all(TITLES[OURS] in text and TITLES["never-closed"] in text for text in words)


def test_the_same_runs_write_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        write_report(tmp_path / folder, "A drop", [leaky(), ours()], FAULTS, "again")
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()


def test_charts_of_every_strategy_and_a_long_run_stay_small(tmp_path: Path) -> None:
    runs = [leaky(strategy, samples=5000) for strategy in STRATEGIES if strategy != OURS]
    write_report(tmp_path, "A drop", [*runs, ours(samples=5000)])
    assert max(chart.stat().st_size for chart in tmp_path.glob("*.svg")) < 150_000


def test_a_report_leaves_the_style_of_other_drawings_alone(tmp_path: Path) -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    write_report(tmp_path, "A drop", [ours()])
    assert dict(mpl.rcParams) == before


def test_matplotlib_is_imported_only_for_a_report() -> None:
    probe = "import sys, lab.proof.report.page; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", probe], check=True)
