"""The benchmark runs and reports what it promises; how fast anything is stays no test's business."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
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


RUNS = {
    "one server": [],
    "cluster": ["--cluster", "--report", "."],
    "app": ["--app", "--seconds", "0.02"],
}


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What short runs write, all at the same time."""

    def run(options: list[str]) -> Any:
        folder = tmp_path_factory.mktemp("bench")
        command = [sys.executable, "-m", "lab", "bench", "--rounds", "1", "--seconds", "0.01", "--json", "bench.json"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run([*command, *options], cwd=folder, env=environment, check=True, capture_output=True, timeout=150)
        return json.loads((folder / "bench.json").read_text())

    with ThreadPoolExecutor(len(RUNS)) as pool:
        return dict(zip(RUNS, pool.map(run, RUNS.values()), strict=True))


def test_a_round_of_the_benchmark_reports_every_ratio_and_one_connection_of_ours(shown: dict[str, Any]) -> None:
    run = shown["one server"]
    assert set(run["ratios"]) == RATIOS
    assert None not in run["ratios"].values()
    assert run["connections"]["ours"] == 1
    assert {cell["side"] for cell in run["rounds"]} == {*run["connections"], "run"}


def test_a_round_on_a_cluster_reports_its_ratios_and_one_connection_to_each_shard(shown: dict[str, Any]) -> None:
    run = shown["cluster"]
    assert set(run["ratios"]) == CLUSTER_RATIOS
    assert None not in run["ratios"].values()
    assert run["ratios"]["cluster_connections_per_shard"] == 1
    assert (run["connections"]["ours"], run["connections"]["run"]) == (3, 3)
    assert {(cell["side"], cell["load"]) for cell in run["rounds"]} == {
        (side, load) for side in run["connections"] for load in ("get", "script")
    }


def test_an_order_through_the_whole_app_is_split_into_its_parts(shown: dict[str, Any]) -> None:
    run = shown["app"]
    parts = ["http", "parse", "answer", "redis", "send", "log"]
    assert list(run["cpu_us_per_order"]) == [*parts, "as it ships"]
    assert list(run["rounds"][0]) == parts
    assert run["rounds"][0]["send"] == pytest.approx(run["cpu_us_per_order"]["as it ships"], abs=0.1)
    assert run["import_vs_libraries"] > 0
