"""The page and the files beside it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pytest

from lab.proof.outcome import Outcome
from lab.proof.report.markdown import unbroken
from lab.proof.report.page import NOTE, as_json, write_faults, write_report
from lab.proof.strategies import OURS, TITLES
from tests.pages import tables
from tests.unit.lab.proof.report.outcomes import FAULTS, leaky, nothing, ours

OVER_TIME = ["clients", "latency", "requests"]
HOSTILE = "\"'></svg>|</table><script>alert(1)</script>![x](http://x) `# &amp; $title $\\frac{1}{0}$ \x00\n# %"


def svgs(folder: Path) -> list[str]:
    return sorted(file.stem for file in folder.glob("*.svg"))


def numbers(page: Path) -> Any:
    """What lies beside the page."""
    return json.loads(page.with_name("summary.json").read_text())


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of two runs, to be read only."""
    return write_report(tmp_path_factory.mktemp("both"), "A drop", [leaky(), ours()], "lab spike --orders 5 > it")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of one run where two were drawn before, and somebody keeps a picture of his own; to be read only."""
    folder = tmp_path_factory.mktemp("alone")
    for name in ("strategies", "mine"):
        (folder / f"{name}.svg").touch()
    return write_report(folder, "A drop", [ours()])


def row(page: Path, name: str) -> list[str]:
    """The cells of a table's row but the first, which is its name."""
    rows = [list(row.values()) for table in tables(page.read_text()) for row in table]
    return next(cells for first, *cells in rows if first == name)


def test_one_run_has_a_page_its_numbers_and_a_file_per_chart_and_none_of_an_earlier_report(alone: Path) -> None:
    assert alone.name == "README.md"
    assert svgs(alone.parent) == sorted([*OVER_TIME, "mine"])
    assert [run["accepted"] for run in numbers(alone)["runs"]] == [12_000]


def test_the_numbers_are_without_the_series_of_the_pictures(alone: Path) -> None:
    (run,) = numbers(alone)["runs"]
    assert {"timeline", "latency_ms", "decision_ms"} & run.keys() == set()
    assert run == {name: value for name, value in asdict(ours()).items() if name in run}


def test_several_runs_are_drawn_side_by_side_too(both: Path) -> None:
    assert svgs(both.parent) == sorted([*OVER_TIME, "strategies"])


def test_every_number_of_a_run_is_in_the_table(tmp_path: Path) -> None:
    names = [field.name for field in fields(Outcome) if field.type in ("int", "float")]
    given: dict[str, Any] = {
        name: 1001 + 13 * place for place, name in enumerate(names) if name not in ("instances", "stock")
    }
    text = write_report(tmp_path, "A drop", [replace(ours(), **given)]).read_text()
    assert [name for name, number in given.items() if f"{number:,}" not in text] == []


def test_each_run_has_its_own_column(both: Path) -> None:
    assert f"| {unbroken(TITLES['never-closed'])} | **{unbroken(TITLES[OURS])}** |" in both.read_text()
    assert row(both, "accepted") == ["4,000", "12,000"]
    assert row(both, "peak clients / limit") == ["249 / 250", "204 / 250"]
    assert row(both, "timeout") == ["**771**", "0"]


def test_the_page_says_how_to_read_it_and_how_to_repeat_it_and_what_it_is_not(both: Path) -> None:
    text = both.read_text()
    assert text.count("![") == 4
    assert "Read upwards from a percentile" in text
    assert "    lab spike --orders 5 > it\n" in text
    assert NOTE in text


def test_a_run_in_which_nothing_happened_still_gives_a_page(tmp_path: Path) -> None:
    page = write_report(tmp_path, "A drop", [nothing()])
    assert row(page, "accepted") == ["0"]
    assert svgs(tmp_path) == OVER_TIME
    assert "no samples" in (tmp_path / "clients.svg").read_text()


def test_faults_alone_are_a_report_with_a_chart_of_the_errors(tmp_path: Path) -> None:
    page = write_faults(tmp_path, FAULTS)
    assert svgs(tmp_path) == ["faults"]
    assert "Redis is killed and comes back: 112 errors" in page.read_text()
    assert row(page, "Service Bus drops every link")[:3] == ["**3 orders lost**", "2,391", "**3**"]
    assert numbers(page) == FAULTS


def test_hostile_texts_are_only_texts(tmp_path: Path) -> None:
    fault = {**FAULTS["faults"][0], "title": HOSTILE, "broken": [HOSTILE], "client_errors": {HOSTILE: 1}}
    text = write_faults(tmp_path, {"faults": [fault]}).read_text()
    assert re.findall(r"(?<!\\)[<`$&]", text) == []
    assert len(re.findall(r"!\[", text)) == 1
    assert re.findall(r"^# .*", text, re.MULTILINE) == ["# Faults"]
    assert all(tables(text.replace("\\|", "")))


def test_page_and_charts_load_nothing(both: Path) -> None:
    charts = "".join(chart.read_text() for chart in both.parent.glob("*.svg"))
    text = re.sub(r'xmlns(:xlink)?="[^"]+"', "", both.read_text() + charts)
    assert [word for word in ("http://", "https://", "@import", "<script") if word in text] == []
    assert [target for target in re.findall(r"url\(([^)]*)\)", text) if not target.startswith("#")] == []
    assert [target for target in re.findall(r'href="([^"]*)"', text) if not target.startswith(("#", "data:"))] == []


def test_every_chart_tells_in_words_what_it_shows(both: Path) -> None:
    text = both.read_text()
    words = re.findall(r"!\[(.*)\]\(\w+\.svg\)", text)
    words += re.findall(r'aria-label="([^"]*)"', "".join(chart.read_text() for chart in both.parent.glob("*.svg")))
    assert len(words) == 8
    assert all(TITLES[OURS] in shown and TITLES["never-closed"] in shown for shown in words)


def test_the_same_runs_write_the_same_bytes_and_leave_the_style_of_other_drawings_alone(
    both: Path, tmp_path: Path
) -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    write_report(tmp_path / "new" / "folder", "A drop", [leaky(), ours()], "lab spike --orders 5 > it")
    assert dict(mpl.rcParams) == before
    for file in both.parent.iterdir():
        assert file.read_bytes() == (tmp_path / "new" / "folder" / file.name).read_bytes()


@pytest.mark.parametrize("value", [{}, [], {"a": []}, {"a": [1, {"b": None}]}, {"wide": [{"x": "y" * 90}] * 5}, "text"])
def test_the_numbers_are_json_whatever_they_are(value: object) -> None:
    assert json.loads(as_json(value)) == value


def test_what_fits_into_a_line_is_on_one_line() -> None:
    assert (
        as_json({"rows": [{"a": 1}, {"a": 2}], "text": "x" * 500}).splitlines()[1] == ' "rows": [{"a": 1}, {"a": 2}],'
    )


def test_matplotlib_is_imported_only_for_a_report() -> None:
    probe = "import sys, lab.proof.report.page; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", probe], check=True)
