"""Faults that are put back into the code in memory, while it is imported, to prove that the world finds them."""

from __future__ import annotations

import importlib.abc
import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

STORE, DESK, QUEUE = "services.tickets.store", "services.tickets.desk", "services.queue_session.queue_service"
SESSION = "services.redis_session."
_READ = '(_LUA / f"{name}.lua").read_text()'
_ALONE = """\
    async def _alone(self, waiting: _Waiting) -> None:
        try:
            sender = (await self._open()).sdk
            batch = await sender.create_message_batch()
            waiting.sending = True
            batch.add_message(waiting.to_sdk())
            await within(TRY_S + SPARE_S, sender.send_messages(batch, timeout=TRY_S))
            waiting.confirmed.done() or waiting.confirmed.set_result(None)
        except Exception as error:
            await self._close()
            waiting.fail(waiting.failure(type(error).__name__))

    async def aclose(self) -> None:
        await end(self._task)
"""
_EARLY = """\
        if "really" not in asyncio.current_task().get_name():
            task = asyncio.get_running_loop().create_task(self.decide(message), name="really")
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            return Order.model_construct(order_id=message.order_id, status=OrderStatus.QUEUED, reason=None)
        loop = asyncio.get_running_loop()
        backoff,"""


def _script(old: str, new: str) -> list[tuple[str, str, str]]:
    """A line of the Lua scripts, replaced as they are read."""
    return [(STORE, _READ, f"{_READ}.replace({old!r}, {new!r})")]


# fault -> [(module, what stands there, what stands there instead)]
MUTANTS: dict[str, list[tuple[str, str, str]]] = {
    "decide-not-idempotent": _script("if order and order.status ~= 'queued' then", "if false then"),
    "hold-not-removed": _script("customer.holds[order_id] = nil", ""),
    "stock-not-checked": _script("drop.confirmed + quantity > drop.stock", "false"),
    "limit-not-checked": _script("customer.confirmed + quantity > drop.per_customer", "false"),
    "place-not-idempotent": _script("  return {'known', json}", ""),
    "answered-before-the-send": [
        (DESK, "await self.queue.send(", "asyncio.ensure_future(self.queue.send("),
        (DESK, "properties=trace)", "properties=trace)).add_done_callback(lambda d: d.cancelled() or d.exception())"),
    ],
    "completed-before-the-decision": [
        (DESK, "        loop = asyncio.get_running_loop()\n        backoff,", _EARLY.rstrip()),
    ],
    "no-patience": [(DESK, "if loop.time() + wait_s >= ends_at:", "if True:")],
    "fresh-message-id": [(QUEUE, "message_id=self.message_id,", 'message_id=f"{self.message_id}-{self.attempts}",')],
    "queue-without-an-owner": [
        (QUEUE, "self._waiting.append(waiting)", "asyncio.ensure_future(self._alone(waiting))"),
        (QUEUE, "    async def aclose(self) -> None:\n        await end(self._task)\n", _ALONE),
    ],
    "maybe-stored-forgotten": [(QUEUE, "if refused else _State.MAYBE_STORED", "if refused else _State.UNSENT")],
    # -- the Redis session, as people who attacked it found it --
    "written-counted-at-the-end": [
        (SESSION + "reply_stream", "scope.count(1)", "pass"),
        (
            SESSION + "wire",
            "reply = await call\n",
            "reply = await call\n            current_deadline() and current_deadline().count(1)\n",
        ),
    ],
    "written-counted-by-the-inner-deadline": [
        (SESSION + "call_deadline", "scope = scope._outer\n\n    @property", "scope = None\n\n    @property")
    ],
    "side-connections-not-counted": [(SESSION + "side_pool", "scope.count(1)", "pass")],
    "children-outlive-the-deadline": [(SESSION + "call_deadline", "return scope is not None", "return False")],
    "push-takes-a-slot": [
        (
            SESSION + "reply_stream",
            "self.counters.pushes += 1\n",
            'self.counters.pushes += 1\n                owed and "\\\\udc" in ascii(reply) and owed.popleft()\n',
        ),
    ],
    "first-word-of-a-script-error": [
        (
            SESSION + "server_reply",
            "if code in _STATES and command is not None and not runs_script(command):",
            "if code in _STATES:",
        )
    ],
    "recreate-not-single-flight": [
        (
            SESSION + "redis_service",
            "        if task is None:\n            task = tasks[name]",
            "        if True:\n            task = tasks[name]",
        ),
        (SESSION + "redis_service", "lambda _: tasks.pop(name)", "lambda _: tasks.pop(name, None)"),
    ],
    "old-client-not-closed": [
        (
            SESSION + "redis_service",
            "so are those before it\n        await self._close(client)",
            "so are those before it",
        )
    ],
    "deadline-closes-the-connection": [
        (
            SESSION + "reply_stream",
            "            call.cancel()\n            self._withdraw(call)",
            '            call.cancel()\n            self._withdraw(call)\n        self.close("a caller left")',
        )
    ],
    "backlog-unbounded": [(SESSION + "reply_stream", "if len(waiting) >= self._room or size >", "if size >")],
    "unknown-outcome-repeated": [
        (
            SESSION + "redis_service",
            "(idempotent and isinstance(error, OutcomeUnknown))",
            "isinstance(error, OutcomeUnknown)",
        )
    ],
    "replies-in-the-wrong-order": [
        (SESSION + "reply_stream", "call = owed.popleft()", "call = owed.popleft() if len(owed) < 3 else owed.pop()")
    ],
}


def _edited(module: str, text: str, edits: list[tuple[str, str]]) -> str:
    for old, new in edits:
        if old not in text:
            raise LookupError(f"{module} no longer holds {old!r}: bring the fault up to date")
        text = text.replace(old, new)
    return text


def check(name: str) -> None:
    """Raises LookupError, or SyntaxError, if a fault no longer fits the code."""
    texts: dict[str, str] = {}
    for module, old, new in MUTANTS[name]:
        spec = importlib.util.find_spec(module)
        assert spec is not None
        assert spec.origin is not None
        text = texts.get(module) or Path(spec.origin).read_text(encoding="utf-8")
        texts[module] = _edited(module, text, [(old, new)])
    for module, text in texts.items():
        compile(text, module, "exec")


class _Loader(SourceFileLoader):
    def __init__(self, name: str, path: str, edits: list[tuple[str, str]]) -> None:
        super().__init__(name, path)
        self._edits = edits

    def get_code(self, fullname: str) -> Any:
        text = self.get_source(fullname)
        assert text is not None
        return compile(_edited(fullname, text, self._edits), self.path, "exec", dont_inherit=True)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, edits: dict[str, list[tuple[str, str]]]) -> None:
        self._edits = edits

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._edits:
            return None
        spec = PathFinder.find_spec(fullname, path)
        assert spec is not None
        assert spec.origin is not None
        return importlib.util.spec_from_file_location(
            fullname, spec.origin, loader=_Loader(fullname, spec.origin, self._edits[fullname]),
            submodule_search_locations=spec.submodule_search_locations,
        )  # fmt: skip


def apply(name: str | None) -> None:
    """Put a fault into everything that is imported from now on; None leaves the code as it is."""
    if name is None:
        return
    edits: dict[str, list[tuple[str, str]]] = {}
    for module, old, new in MUTANTS[name]:
        if module in sys.modules:
            raise RuntimeError(f"{module} has been imported already")
        edits.setdefault(module, []).append((old, new))
    sys.meta_path.insert(0, _Finder(edits))
