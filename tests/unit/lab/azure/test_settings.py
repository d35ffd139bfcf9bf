"""Where the settings of a local run come from, and how the other commands find the running lab."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from lab.azure.queue_target import endpoint
from lab.azure.settings import (
    SettingsFile,
    SettingsFileError,
    app_settings,
    read_file,
    read_values,
    serve_bus,
    serve_redis,
)
from lab.azure.state_file import LabState, read_state, remove_state, write_state


def write_values(path: Path, **values: str) -> None:
    path.write_text(json.dumps({"IsEncrypted": False, "Values": values}))


def test_the_developers_file_goes_before_the_example_and_the_environment_before_both(tmp_path: Path) -> None:
    write_values(tmp_path / "local.settings.json.example", A="example", B="example", C="example")
    write_values(tmp_path / "local.settings.json", A="own", B="own")
    assert app_settings(tmp_path, {"A": "environment"}) == {"A": "environment", "B": "own", "C": "example"}


def test_a_settings_file_is_read_as_core_tools_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "local.settings.json"
    values = '{"A": "2026-01-02T03:04:05.10Z", "B": true, "C": null, "D": 5,}'
    path.write_text(f'\ufeff{{"IsEncrypted": false, // mine\n"Values": {values},}}')
    assert read_values(path) == {"A": "2026-01-02T03:04:05.10Z", "B": "True", "D": "5"}
    path.write_text('{"Host": {"CORS": "https://a.example", "CORSCredentials": true}}')
    assert read_file(path) == SettingsFile(cors="https://a.example", cors_credentials=True)


@pytest.mark.parametrize("said", ['"IsEncrypted": true,', ""])
def test_an_encrypted_settings_file_is_refused_with_the_command_that_helps(tmp_path: Path, said: str) -> None:
    (tmp_path / "local.settings.json").write_text(f'{{{said} "Values": {{"HOLD_S": "CfDJ8"}}}}')
    with pytest.raises(SettingsFileError, match="func settings decrypt"):
        app_settings(tmp_path, {})


def test_what_the_lab_serves_itself_it_sets_whole() -> None:
    fetched = {"REDIS_URL": "rediss://x", "REDIS_ENTRA_CLIENT_ID": "id", "REDIS_TIER": "basic_c0", "Bus": "old"}
    fetched |= {"Bus__fullyQualifiedNamespace": "x", "bus__clientId": "id", "Business": "kept"}
    serve_redis(fetched, "redis://here")
    serve_bus(fetched, "Bus", "Endpoint=here")
    assert fetched == {
        "REDIS_URL": "redis://here",
        "REDIS_TIER": "basic_c0",
        "Bus": "Endpoint=here",
        "Business": "kept",
    }


@pytest.mark.parametrize(
    "content", ["{", "[]", *(f'{{"IsEncrypted": false, "Values": {values}}}' for values in ("1", '{"A": {}}'))]
)
def test_a_broken_settings_file_is_named_and_its_content_is_not_shown(tmp_path: Path, content: str) -> None:
    (tmp_path / "local.settings.json").write_text(content)
    with pytest.raises(SettingsFileError, match=r"local\.settings\.json is not"):
        app_settings(tmp_path, {})


def state(pid: int) -> LabState:
    return LabState(pid=pid, url="http://x", queue="orders", redis_url="redis://:pw@x", service_bus="Key=s3cret")


def test_the_state_is_for_its_owner_only_and_found_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / "up.json"
    write_state(state(os.getpid()), path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_state(path) == state(os.getpid())


def test_the_state_of_a_lab_that_is_gone_counts_for_nothing(tmp_path: Path) -> None:
    path = tmp_path / "up.json"
    write_state(state(2**22 + 1), path)  # above the largest pid of Linux
    assert read_state(path) is None


def test_a_lab_removes_its_own_state_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "up.json"
    write_state(state(os.getpid()), path)
    remove_state(path, os.getpid() + 1)
    assert path.exists()
    remove_state(path, os.getpid())
    assert not path.exists()


def test_a_state_shows_no_secret_in_its_repr() -> None:
    assert "s3cret" not in repr(state(1))
    assert "pw" not in repr(state(1))


def test_an_endpoint_is_a_connection_string_without_its_key() -> None:
    assert endpoint("Endpoint=sb://x.servicebus.windows.net/;SharedAccessKeyName=a;SharedAccessKey=b=") == (
        "x.servicebus.windows.net"
    )
