"""Which error replies speak of the server, and what they ask for."""

from __future__ import annotations

import pytest
from redis.asyncio.connection import DefaultParser
from redis.exceptions import RedisError, ResponseError

from services.redis_session.server_reply import ServerState, server_state

SCRIPT = "ERR Error running script (call to f_d7a1): @user_script:1: @user_script: 1: "


def parsed(line: str) -> RedisError:
    """The error redis-py makes of a reply, without its leading '-'."""
    error = DefaultParser.parse_error(line)  # type: ignore[no-untyped-call]  # redis-py has not typed it
    assert isinstance(error, RedisError)
    return error


@pytest.mark.parametrize(
    ("line", "code", "state"),
    [
        ("READONLY You can't write against a read only replica.", "READONLY", ServerState.RECREATE),
        (f"{SCRIPT}-READONLY You can't write against a read only replica.", "READONLY", ServerState.RECREATE),
        ("READONLY You can't write against a read only replica. script: d7a1, on @user_script:1.", "READONLY", ServerState.RECREATE),  # noqa: E501 - a recorded reply
        ("NOAUTH Authentication required.", "NOAUTH", ServerState.RECREATE),
        ("WRONGPASS invalid username-password pair or user is disabled.", "WRONGPASS", ServerState.RECREATE),
        ("LOADING Redis is loading the dataset in memory", "LOADING", ServerState.WAIT),
        ("BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", "BUSY", ServerState.WAIT),  # noqa: E501 - a recorded reply
        ("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", "MASTERDOWN", ServerState.WAIT),  # noqa: E501 - a recorded reply
        ("CLUSTERDOWN The cluster is down", "CLUSTERDOWN", ServerState.WAIT),
        ("TRYAGAIN Multiple keys request during rehashing of slot", "TRYAGAIN", ServerState.WAIT),
        ("NOREPLICAS Not enough good replicas to write.", "NOREPLICAS", ServerState.WAIT),
        ("OOM command not allowed when used memory > 'maxmemory'.", "OOM", ServerState.FULL),
        ("EXECABORT Transaction discarded because of: NOREPLICAS Not enough good replicas to write.", "NOREPLICAS", ServerState.WAIT),  # noqa: E501 - a recorded reply
        ("Command # 1 (INCRBY k 1) of pipeline caused error: ('NOREPLICAS Not enough good replicas to write.',)", "NOREPLICAS", ServerState.WAIT),  # noqa: E501 - a recorded reply
        (f"{SCRIPT}-OOM command not allowed when used memory > 'maxmemory'.", "OOM", ServerState.FULL),
        ("NOPERM this user has no permissions to run the 'get' command", "NOPERM", ServerState.REFUSED),
        ("NOPERM User a has no permissions to run the 'evalsha' command", "NOPERM", ServerState.REFUSED),
        ("NOPERM No permissions to access a key", "NOPERM", ServerState.REFUSED),
        ("MOVED 3999 127.0.0.1:6381", "MOVED", ServerState.ELSEWHERE),
        ("ASK 3999 127.0.0.1:6381", "ASK", ServerState.ELSEWHERE),
        ("CROSSSLOT Keys in request don't hash to the same slot", "CROSSSLOT", ServerState.REFUSED),
        ("MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.", "MISCONF", ServerState.FULL),  # noqa: E501 - a recorded reply
    ],
)  # fmt: skip
def test_a_reply_about_the_server_is_known_by_its_code_even_inside_a_script_error(
    line: str, code: str, state: ServerState
) -> None:
    assert server_state(parsed(line)) == (code, state)


@pytest.mark.parametrize(
    "line",
    [
        "WRONGTYPE Operation against a key holding the wrong kind of value",
        "NOSCRIPT No matching script. Please use EVAL.",
        "BUSYGROUP Consumer Group name already exists",
        "BUSYKEY Target key name already exists.",
        "ERR unknown command 'READONLYISH'",
    ],
)
def test_a_reply_about_the_command_is_not_mistaken_for_one_about_the_server(line: str) -> None:
    assert server_state(parsed(line)) is None


@pytest.mark.parametrize("line", ["BUSY slot taken", "LOADING the lorry", "READONLY for guests", "NOPERM for you"])
def test_a_scripts_own_code_is_not_the_servers_state(line: str) -> None:
    error = parsed(line)
    error.command = "EVALSHA"  # type: ignore[attr-defined]
    assert server_state(error) is None


def test_a_proxys_own_words_behind_a_known_code_are_the_servers_state() -> None:
    error = parsed("BUSY the upstream has no time")
    error.command = "GET"  # type: ignore[attr-defined]
    assert server_state(error) == ("BUSY", ServerState.WAIT)


@pytest.mark.parametrize(
    "said", ["BUSY Redis is busy running a script.", "NOREPLICAS Not enough good replicas to write"]
)
def test_a_state_is_heard_behind_the_words_that_redis_py_puts_before_errors_of_a_pipeline(said: str) -> None:
    error = ResponseError(f"Command # 1 (SET a of pipeline b) of pipeline caused error: {said}")
    found = server_state(error)
    assert found is not None
    assert found == (said.split()[0], ServerState.WAIT)
