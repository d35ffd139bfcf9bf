"""Run redis-py's own asyncio tests on plain redis-py and on the multiplexed client, and compare; on a cluster, too.

A test that passes on redis-py has to pass here, or be in expected.txt with its reason; one that is there has to
fail. Exit code 1 otherwise. Source distributions are unpacked under build/; each version has an environment there.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.metadata import version as installed
from pathlib import Path
from typing import NamedTuple

from lab.azure.redis_cluster import RedisCluster
from lab.azure.redis_server import RedisServer
from tests import ROOT

BUILD = ROOT / "build" / "conformance"
HERE = Path(__file__).parent
NEEDS = (
    "pytest>=9",
    "pytest-asyncio>=1.3",
    "pytest-timeout>=2.4",
    "packaging",
    "numpy",
    "cryptography",
    "redis-entraid",
    "xxhash",
    "pytest-cov",
)
VERSIONS = {"oldest": "7.0", "pinned": installed("redis"), "newest": ""}
LEG_S = 1800  # the longest that one leg may take
# About a cluster, Sentinel, TLS, modules of the server, or redis-py's own connections and pools, which we have none of.
NOT_OURS = re.compile(
    r"cluster|sentinel|ssl|bloom|json|search|timeseries|policies|multidb|scenario|observability"
    r"|test_(client|connection|connection_pool|credentials|retry|utils|command_parser)\.py"
)
CLUSTER = "valkey-cluster"
ON_A_CLUSTER = re.compile(r"test_(cluster_transaction|commands|encoding|hash|lock|scripting)\.py")
NOT_ON_A_CLUSTER = (
    "not (TestRedisCommands and test_cluster_)"  # replies made up for redis-py: ours would send the command
)
SERVERS = ("valkey", "redis-server", CLUSTER)


class Run(NamedTuple):
    """One comparison: a version of redis-py, a server, a protocol."""

    version: str
    server: str
    protocol: int

    def __str__(self) -> str:
        return f"redis-py {self.version}, {self.server}, RESP{self.protocol}"


def pip(python: Path | str, *arguments: str) -> None:
    """Run pip, quietly."""
    subprocess.run([python, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments], check=True)


def unpacked(wanted: str) -> Path:
    """The folder of a source distribution: `8.1.0`, the newest of `8.1`, or of all."""
    wanted = VERSIONS.get(wanted, wanted)
    requirement = "redis" if not wanted else f"redis=={wanted}{'' if wanted.count('.') == 2 else '.*'}"
    archives = BUILD / "archives" / (wanted or "newest")
    pip(sys.executable, "download", "--no-binary", "redis", "--no-deps", "--dest", str(archives), requirement)
    archive = max(archives.glob("*.tar.gz"), key=lambda path: path.stat().st_mtime)
    folder = BUILD / archive.name.removesuffix(".tar.gz")
    if not folder.exists():
        with tarfile.open(archive) as opened:
            opened.extractall(BUILD, filter="data")
    return folder


def environment(version: str) -> Path:
    """A Python with this version of redis-py and what its tests need."""
    folder = BUILD / f"python-{version}"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        pip(python, "install", f"redis[hiredis]=={version}", *NEEDS)
        (folder / "ready").touch()
    return python


@contextmanager
def started(server: str) -> Iterator[str]:
    """A server, or a cluster; its URL."""
    if server == CLUSTER:
        with RedisCluster(3, replicas=1) as cluster:  # redis-py's tests wait for six nodes
            yield cluster.url
        return
    binary = Path(shutil.which("redis-server") or "redis-server") if server == "redis-server" else None
    with RedisServer(binary=binary, appendonly=False) as alone:
        yield alone.url


def chosen(run: Run, source: Path) -> list[str]:
    """Which files of redis-py's, and which of their tests."""
    folder = source / "tests" / "test_asyncio"
    on_a_cluster = run.server == CLUSTER
    names = sorted(path.name for path in folder.glob("test_*.py"))
    files = [name for name in names if (ON_A_CLUSTER.fullmatch(name) if on_a_cluster else not NOT_OURS.search(name))]
    only = ["-k", NOT_ON_A_CLUSTER] if on_a_cluster else []
    return [*only, *(str((folder / name).relative_to(source)) for name in files)]


def outcomes(run: Run, source: Path, client: str) -> dict[str, str]:
    """Each test's outcome on one client, on a server of its own."""
    stem = BUILD / f"{run.version}-{run.server}-{run.protocol}-{client}"
    paths = os.pathsep.join(map(str, (source, HERE / "plugin", ROOT)))
    env = {**os.environ, "PYTHONPATH": paths, "CONFORMANCE_OUTCOMES": f"{stem}.json", "CONFORMANCE_CLIENT": client}
    with started(run.server) as url, Path(f"{stem}.log").open("w") as log:
        command = [
            str(environment(run.version)),
            "-m",
            "pytest",
            "-p",
            "multiplexed",
            "-p",
            "no:cacheprovider",
            "-q",
            "--continue-on-collection-errors",
        ]
        command += ["--redis-url", url, "--protocol", str(run.protocol), "-o", "log_cli=false", *chosen(run, source)]
        subprocess.run(command, cwd=source, env=env, stdout=log, stderr=log, timeout=LEG_S, check=False)
    found: dict[str, str] = json.loads(Path(f"{stem}.json").read_text())
    return found


def expected(run: Run) -> dict[str, str]:
    """Test id -> why it fails on ours. A line may begin with `[regex]`: only in runs whose name it finds."""
    found = {}
    for line in (HERE / "expected.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            only, test, reason = re.fullmatch(r"(?:\[(.+?)\] )?(\S+) +(.+)", line).groups()  # type: ignore[union-attr]
            if only is None or re.search(only, str(run)):
                found[test] = reason
    return found


def compare(run: Run) -> bool:
    """Whether ours passes what it has to, with a line for each test that speaks against it."""
    source = unpacked(run.version)
    with ThreadPoolExecutor(2) as legs:
        plain, ours = legs.map(lambda client: outcomes(run, source, client), ("plain", "ours"))
    passed = {test for test, outcome in plain.items() if outcome == "passed"}
    worse = {test for test in passed if ours.get(test) != "passed"}
    listed = expected(run).keys() & passed
    for test in sorted(worse - listed):
        print(f"  fails on ours, and is not in expected.txt: {test}")
    for test in sorted(listed - worse):
        print(f"  passes on ours, and is in expected.txt: {test}")
    fine = worse == listed and bool(passed)
    kept = f"{len(passed)} passed on redis-py, {len(passed - worse)} of them on ours, {len(listed)} listed"
    print(f"{run}: {kept}{'' if fine else ': NOT AS EXPECTED'}", flush=True)
    return fine


def main() -> int:
    """0 if every comparison is as expected."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--redis-py", nargs="+", default=list(VERSIONS), help="oldest, pinned, newest, 8.1.0 or 8.1")
    parser.add_argument("--server", nargs="+", default=list(SERVERS), choices=SERVERS)
    parser.add_argument("--protocol", nargs="+", type=int, default=[3, 2], choices=[2, 3])
    options = parser.parse_args()
    BUILD.mkdir(parents=True, exist_ok=True)
    versions = dict.fromkeys(unpacked(one).name.removeprefix("redis-") for one in options.redis_py)
    for one in versions:
        environment(one)
    runs = [
        Run(one, server, protocol) for one in versions for server in options.server for protocol in options.protocol
    ]
    return 0 if all(list(map(compare, runs))) else 1


if __name__ == "__main__":
    sys.exit(main())
