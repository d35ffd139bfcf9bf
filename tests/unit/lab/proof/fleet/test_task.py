"""What an instance is given: nothing of it may show, and only its group's triggers are left."""

from __future__ import annotations

from pathlib import Path

from lab.proof.fleet.instance import Task

CONNECTION = "Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=a;SharedAccessKey=s3cret;UseDevelopmentEmulator=true;"


def test_the_repr_of_a_task_shows_no_setting() -> None:
    assert "s3cret" not in repr(Task(Path("app"), Path("log"), {"Bus": CONNECTION}))
