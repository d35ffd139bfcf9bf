"""`--dist loadfile`, but what shares the labs of tests/e2e/conftest.py stays together, and long tests go apart.

A test that ended its worker, as pytest-timeout's do, has failed and is not repeated.
"""

from __future__ import annotations

from typing import Any

from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

ONE_BY_ONE = ("tests/integration/lab/proof/faults/", "tests/simulation/")  # long tests that share nothing
SHARED_LABS = "tests/e2e/"
OWN_LABS = {f"{SHARED_LABS}test_{name}.py" for name in ("locust", "on_a_cluster", "outages")}


class Scheduling(LoadFileScheduling):  # type: ignore[misc]
    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        if file.startswith(ONE_BY_ONE):
            return nodeid
        return SHARED_LABS if file.startswith(SHARED_LABS) and file not in OWN_LABS else file

    def remove_node(self, node: Any) -> str | None:
        """The test that ended the worker; what the worker had done is not handed out again, what it had not is."""
        units = self.assigned_work[node]
        crashed = next((test for unit in units.values() for test, done in unit.items() if not done), None)
        if crashed is not None:
            units[self._split_scope(crashed)][crashed] = True
        self.assigned_work[node] = {scope: unit for scope, unit in units.items() if not all(unit.values())}
        super().remove_node(node)
        return crashed

    def schedule(self) -> None:
        """Twice: a worker starts a test only when it knows its next one, and one that is replaced got one file."""
        super().schedule()
        super().schedule()

    def _reschedule(self, node: Any) -> None:
        if node in self.registered_collections:  # another replacement may still be collecting
            super()._reschedule(node)
