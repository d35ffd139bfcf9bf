"""The benchmark runs and reports what it promises; how fast anything is stays no test's business."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT

RATIOS = {
    "vs_default_c100",
    "cpu_vs_default_c100",
    "vs_default_c100_1ms",
    "vs_glide_c100",
    "vs_bare_c100",
    "p50_vs_default_c1",
    "vs_bare_c100_1ms",
    "uvloop_vs_default_c100",
    "uvloop_vs_bare_c100",
    "run_evalsha_vs_bare_c100",
    "run_evalsha_cpu_vs_default_c100",
    "run_evalsha_cpu_vs_glide_c100",
    "run_over_client_us",
    "get64k_vs_glide_c100",
    "set1k_vs_glide_c100",
    "pipeline100_vs_glide",
}


def test_a_round_of_the_benchmark_reports_every_ratio_and_one_connection_of_ours(tmp_path: Path) -> None:
    report = tmp_path / "bench.json"
    command = [sys.executable, "-m", "lab", "bench", "--rounds", "1", "--seconds", "0.05", "--json", str(report)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=55)
    shown = json.loads(report.read_text())
    assert set(shown["ratios"]) == RATIOS
    assert None not in shown["ratios"].values()
    assert shown["connections"]["ours"] == 1
    assert {cell["side"] for cell in shown["rounds"]} == {*shown["connections"], "run"}


def test_an_order_through_the_whole_app_is_split_into_its_parts(tmp_path: Path) -> None:
    report = tmp_path / "app.json"
    few = ["--rounds", "1", "--seconds", "0.02", "--json", str(report)]
    subprocess.run([sys.executable, "-m", "lab", "bench", "--app", *few], cwd=ROOT, check=True, capture_output=True)
    shown = json.loads(report.read_text())
    parts = ["http", "parse", "answer", "redis", "send", "log"]
    assert list(shown["cpu_us_per_order"]) == [*parts, "as it ships"]
    assert list(shown["rounds"][0]) == parts
    assert shown["rounds"][0]["send"] == pytest.approx(shown["cpu_us_per_order"]["as it ships"], abs=0.1)
    assert shown["import_vs_libraries"] > 0
