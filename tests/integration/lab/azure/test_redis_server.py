"""A real server as a child process, and what the lab does to it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from lab.azure.redis_server import HOST, RedisServer, RedisServerError, free_port
from tests import ROOT


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer(appendfsync="always") as running:
        yield running


def client(server: RedisServer) -> redis.Redis:
    return redis.Redis.from_url(server.url, socket_timeout=5, decode_responses=True)


def test_it_is_a_real_server_that_listens_on_this_machine_only(server: RedisServer) -> None:
    with client(server) as connected:
        assert connected.ping()
        info = connected.info("server")
    assert info["process_id"] == server.pid
    assert info["tcp_port"] == server.port
    assert info["listener0"]["bind"] == HOST


def test_its_limits_and_options_are_its_own() -> None:
    with RedisServer(maxclients=5, appendfsync="no", options={"maxmemory-policy": "noeviction"}) as server:
        with client(server) as connected:
            config = connected.config_get("*")
        assert (config["maxclients"], config["appendfsync"], config["appendonly"]) == ("5", "no", "yes")
        assert config["maxmemory-policy"] == "noeviction"


def test_a_restart_can_drop_the_data(server: RedisServer) -> None:
    with client(server) as connected:
        connected.set("a", 1)
    server.restart(keep_data=False)
    with client(server) as connected:
        assert connected.get("a") is None


def test_its_own_folder_is_removed_and_a_given_one_stays(tmp_path: Path) -> None:
    with RedisServer(data_dir=tmp_path) as server:
        config = tmp_path / "redis.conf"
        assert stat.S_IMODE(config.stat().st_mode) == 0o600
        with client(server) as connected:
            own = Path(str(connected.config_get("dir")["dir"]))
    assert own == tmp_path
    assert config.exists()
    with RedisServer() as server, client(server) as connected:
        own = Path(str(connected.config_get("dir")["dir"]))
        assert own.exists()
    assert not own.exists()


KILLED = "import os; from lab.azure.redis_server import RedisServer; RedisServer().start(); os.kill(os.getpid(), 9)"


def test_the_folder_of_a_killed_process_is_removed_by_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    subprocess.run([sys.executable, "-c", KILLED], cwd=ROOT, env={**os.environ, "TMPDIR": str(tmp_path)}, check=False)
    (left,) = tmp_path.glob("lab-redis-*")
    (tmp_path / left.name[:-1]).mkdir()  # not a name that the lab gives
    dead = left.name.split("-")[-2]
    (tmp_path / left.name.replace(dead, str(os.getpid()))).mkdir()  # its process is alive
    (tmp_path / f"lab-redis-elsewhere-{dead}-12345678").mkdir()  # another host's
    (tmp_path / f"{left.name[:-8]}12345678").symlink_to(elsewhere)
    kept = set(tmp_path.iterdir()) - {left}
    with RedisServer():
        assert not left.exists()
    assert set(tmp_path.iterdir()) == kept


def test_a_port_that_is_taken_is_reported(server: RedisServer) -> None:
    with pytest.raises(RedisServerError, match=f"Port {server.port} cannot be used"):
        RedisServer(port=server.port).start()
    assert server.alive


def test_a_wrong_option_is_reported_in_the_servers_own_words() -> None:
    with pytest.raises(RedisServerError, match="appendfsync"):
        RedisServer(appendfsync="sometimes").start()


def test_a_server_that_never_answers_is_given_up_after_the_deadline(tmp_path: Path) -> None:
    mute = tmp_path / "mute-server"
    mute.write_text("#!/bin/sh\nexec sleep 60\n")
    mute.chmod(0o755)
    with pytest.raises(RedisServerError, match="did not start"):
        RedisServer(binary=mute, port=free_port(), start_deadline_s=0.3).start()


def test_a_free_port_is_none_that_somebody_who_connects_may_get_before_its_user() -> None:
    """Between the choice and the use, and while a server is being restarted."""
    ports = {free_port() for _ in range(20)}
    assert len(ports) > 1
    assert max(ports) < 32_768  # where Linux begins, unless it was told otherwise
