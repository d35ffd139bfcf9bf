"""The benchmark runs and reports what it promises; how fast anything is stays no test's business."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

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


CLUSTER_RATIOS = {
    "cluster_vs_redis_cluster_c100",
    "cluster_cpu_vs_redis_cluster_c100",
    "cluster_vs_glide_c100",
    "cluster_run_script_vs_redis_cluster_c100",
    "cluster_run_script_cpu_vs_redis_cluster_c100",
    "cluster_run_script_vs_glide_c100",
    "cluster_connections_per_shard",
}


def shown_by(folder: Path, *options: str) -> dict[str, Any]:
    """What a short run writes."""
    report = folder / "bench.json"
    command = [sys.executable, "-m", "lab", "bench", "--rounds", "1", "--seconds", "0.05", "--json", str(report)]
    subprocess.run([*command, *options], cwd=ROOT, check=True, capture_output=True, timeout=55)
    shown: dict[str, Any] = json.loads(report.read_text())
    return shown


def test_a_round_of_the_benchmark_reports_every_ratio_and_one_connection_of_ours(tmp_path: Path) -> None:
    shown = shown_by(tmp_path)
    assert set(shown["ratios"]) == RATIOS
    assert None not in shown["ratios"].values()
    assert shown["connections"]["ours"] == 1
    assert {cell["side"] for cell in shown["rounds"]} == {*shown["connections"], "run"}


def test_a_round_on_a_cluster_reports_its_ratios_and_one_connection_to_each_shard(tmp_path: Path) -> None:
    shown = shown_by(tmp_path, "--cluster", "--report", str(tmp_path))
    assert set(shown["ratios"]) == CLUSTER_RATIOS
    assert None not in shown["ratios"].values()
    assert shown["ratios"]["cluster_connections_per_shard"] == 1
    assert (shown["connections"]["ours"], shown["connections"]["run"]) == (3, 3)
    assert {(cell["side"], cell["load"]) for cell in shown["rounds"]} == {
        (side, load) for side in shown["connections"] for load in ("get", "script")
    }


def test_an_order_through_the_whole_app_is_split_into_its_parts(tmp_path: Path) -> None:
    shown = shown_by(tmp_path, "--app", "--seconds", "0.02")
    parts = ["http", "parse", "answer", "redis", "send", "log"]
    assert list(shown["cpu_us_per_order"]) == [*parts, "as it ships"]
    assert list(shown["rounds"][0]) == parts
    assert shown["rounds"][0]["send"] == pytest.approx(shown["cpu_us_per_order"]["as it ships"], abs=0.1)
    assert shown["import_vs_libraries"] > 0
