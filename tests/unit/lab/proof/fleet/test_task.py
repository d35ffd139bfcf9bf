"""What an instance is given: nothing of it may show, and only its group's triggers are left."""

from __future__ import annotations

import pickle
from functools import partial
from pathlib import Path

import azure.functions as func
import pytest

from lab.azure.functions_host import FunctionIndex, index_app
from lab.proof.fleet.instance import Group, Task, of_group
from lab.proof.strategies.install import install

CONNECTION = "Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=a;SharedAccessKey=s3cret;UseDevelopmentEmulator=true;"


@pytest.fixture
def index() -> FunctionIndex:
    app = func.FunctionApp()

    @app.route(route="order")
    def order(req: func.HttpRequest) -> str:
        return ""

    @app.service_bus_queue_trigger(arg_name="message", queue_name="orders", connection="Bus")
    def fulfil(message: func.ServiceBusMessage) -> None: ...

    return index_app(app, {"Bus": CONNECTION})


def test_the_http_group_has_no_message_trigger(index: FunctionIndex) -> None:
    left = of_group(index, Group.HTTP)
    assert ([one.name for one in left.http], left.service_bus) == (["order"], ())


def test_the_fulfilment_group_has_no_http_function(index: FunctionIndex) -> None:
    left = of_group(index, Group.FULFILMENT)
    assert (left.http, [one.name for one in left.service_bus]) == ((), ["fulfil"])


def test_the_repr_of_a_task_shows_no_setting() -> None:
    assert "s3cret" not in repr(Task(Path("app"), Path("log"), {"Bus": CONNECTION}))


def test_a_task_reaches_another_process_whole() -> None:
    task = Task(Path("app"), Path("log"), {"Bus": CONNECTION}, partial(install, "redis-py", None))
    copy = pickle.loads(pickle.dumps(task))  # noqa: S301 - our own
    assert (copy.folder, copy.settings) == (task.folder, task.settings)
    assert copy.prepare.args == ("redis-py", None)
