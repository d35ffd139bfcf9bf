"""Faults that are put back into the code in memory, while it is imported, to prove that the world finds them."""

# ruff: noqa: E501 - a fault is a row

from __future__ import annotations

from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

Edit = tuple[str, str, str]  # module of services, the text, its replacement
READ, READ_COMMON = '(_LUA / f"{name}.lua").read_text()', '(_LUA / "common.lua").read_text()'
ALONE = """\
    async def _alone(self, waiting: _Waiting) -> None:
        try:
            sender = (await self._open()).sdk
            batch = await sender.create_message_batch()
            batch.add_message(waiting.to_sdk())
            await within(TRY_S + SPARE_S, sender.send_messages(batch, timeout=TRY_S))
            waiting.confirmed.done() or waiting.confirmed.set_result(None)
        except Exception as error:
            await self._close()
            waiting.fail(waiting.failure(type(error).__name__))

    @property
    def waiting(self) -> int:
"""
EARLY = """\
        if "really" not in asyncio.current_task().get_name():
            task = asyncio.get_running_loop().create_task(self.decide(message), name="really")
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            return Order.model_construct(order_id=message.order_id, status=OrderStatus.QUEUED, reason=None)
"""
DECIDE = "        return await self.store.decide(message, max(self.patience_s, AT_LEAST_S))"
LUA_LINES: list[str] = []


def _lua(old: str, new: str, read: str = READ) -> list[Edit]:
    """A line of the Lua scripts, replaced as they are read."""
    LUA_LINES.append(old)
    return [("tickets.store", read, f"{read}.replace({old!r}, {new!r})")]


# fmt: off
MUTANTS: dict[str, list[Edit]] = {
    "decide-not-idempotent": _lua("if order and order.status ~= 'queued' then", "if false then"),
    "hold-not-removed": _lua("customer.holds[order_id] = nil", ""),
    "stock-not-checked": _lua("drop.confirmed + quantity > drop.stock", "false"),
    "limit-not-checked": _lua("customer.confirmed + quantity > drop.per_customer", "false"),
    "answered-before-the-send": [
        ("tickets.desk", "await self.queue.send(", "asyncio.ensure_future(self.queue.send("),
        ("tickets.desk", "properties=trace)", "properties=trace)).add_done_callback(lambda d: d.cancelled() or d.exception())"),
    ],
    "completed-before-the-decision": [("tickets.desk", DECIDE, EARLY + DECIDE)],
    "no-patience": [("tickets.desk", "max(self.patience_s, AT_LEAST_S)", "AT_LEAST_S")],
    "fresh-message-id": [("queue_session.queue_service", "message_id=self.message_id,", 'message_id=f"{self.message_id}-{self.attempts}",')],
    "queue-without-an-owner": [
        ("queue_session.queue_service", "self._waiting.append(waiting)", "asyncio.ensure_future(self._alone(waiting))"),
        ("queue_session.queue_service", "    @property\n    def waiting(self) -> int:\n        return len", ALONE + "        return len"),
    ],
    "maybe-stored-forgotten": [("queue_session.queue_service", "if refused else _State.MAYBE_STORED", "if refused else _State.UNSENT")],
    "kept-until-it-closes": _lua("closes_at + KEPT_AFTER_CLOSE", "closes_at", READ_COMMON),
    "kept-for-ever": _lua("set_expiry(drop.closes_at)\nreturn {'placed'", "return {'placed'"),
    "hold-never-ends": _lua("if hold[2] <= now then", "if false then", READ_COMMON),
    "holds-not-counted": _lua("customer.confirmed + tickets_held(customer) + quantity", "customer.confirmed + quantity"),
    "sold-after-it-closed": _lua("if now >= drop.closes_at then return {'closed'} end", ""),
    "reused-key-not-noticed": _lua("return order.customer_id == customer_id and order.quantity == quantity", "return true", READ_COMMON),
    "restock-opens-it-again": _lua("closes_at = drop and drop.closes_at or now + OPEN_BY_DEFAULT", "closes_at = now + OPEN_BY_DEFAULT"),
    "refused-for-the-wrong-reason": _lua("order.status, order.reason = 'refused', 'sold_out'", "order.status, order.reason = 'refused', 'customer_limit'"),
    # the Redis session, as people who attacked it found it, and as it may never become
    "written-counted-at-the-end": [
        ("redis_session.reply_stream", "scope.count(1)", "pass"),
        ("redis_session.wire", "reply = await call\n", "reply = await call\n            current_deadline() and current_deadline().count(1)\n"),
    ],
    "written-counted-by-the-inner-deadline": [("redis_session.call_deadline", "scope = scope._outer\n\n    @property", "scope = None\n\n    @property")],
    "side-connections-not-counted": [("redis_session.side_pool", "scope.count(1)", "pass")],
    "dead-side-connection-lent": [("redis_session.side_pool", "        await super().read_response(timeout=0)\n", "")],
    "children-outlive-the-deadline": [("redis_session.call_deadline", "return scope is not None", "return False")],
    "push-takes-a-slot": [("redis_session.reply_stream", "pushes += 1\n", 'pushes += 1\n                owed and "\\\\udc" in ascii(reply) and owed.popleft()\n')],
    "first-word-of-a-script-error": [("redis_session.server_reply", " and command is not None and not runs_script(command):", ":")],
    "recreate-not-single-flight": [
        ("redis_session.redis_service", "self._tasks.get(name) or self._start(name, make)", "self._start(name, make)"),
        ("redis_session.redis_service", "lambda _: tasks.pop(name)", "lambda _: tasks.pop(name, None)"),
    ],
    "old-client-not-closed": [("redis_session.redis_service", "so are those before it\n        await self._close(client)", "so are those before it")],
    "deadline-closes-the-connection": [("redis_session.reply_stream", "            self._withdraw(call)\n\n    def", '            self._withdraw(call)\n        self.close("a caller left")\n\n    def')],
    "backlog-unbounded": [("redis_session.reply_stream", "if len(waiting) >= self._room or size >", "if size >")],
    "repeated-once-and-no-more": [("redis_session.failures", "and needed_s < left_s:", "and needed_s < left_s and (self._patient or not vars(self).setdefault('again')):\n            self.again = True")],
    "repeated-though-refused-for-good": [("redis_session.failures", "self._passes(failure) and ", "")],
    "outage-never-known": [("redis_session.redis_service", "        self.outage.trying(self._now())\n", "")],
    "unknown-outcome-repeated": [("redis_session.failures", "and (self._idempotent or not ran) ", "")],
    "refusals-of-a-batch-forgotten": [("redis_session.wire", "except RedisError as error:\n            return error", "except ResponseError as error:\n            return error")],
    "token-not-renewed": [("redis_session.credential", "await client.reauthenticate(held.username, held.password)", "pass")],
    "renewed-twice": [("redis_session.redis_service", "            previous.cancel()", "            pass")],
    "token-shown-that-has-expired": [("redis_session.credential", "not fresh and self._left_s() > self._clocks.ending_s", "not fresh")],
    "refused-token-shown-again": [("redis_session.credential", "self._held is not None and not fresh and", "self._held is not None and")],
    "refused-token-shown-on-side-connections": [("redis_session.redis_service", "self._replace_token()", "pass")],
    "side-connections-open-after-the-end": [
        ("redis_session.side_pool", "            opening.cancel()", "            pass"),
        ("redis_session.side_pool", "        if self.opening:\n            await asyncio.wait(self.opening)\n", ""),
    ],
    "some-calls-pass-others": [("redis_session.reply_stream", 'self._begin(waiting)\n            data = b"".join(waiting.values())', 'late = list(waiting) if len(waiting) < 9 else list(waiting)[::-1]\n            self._begin(late)\n            data = b"".join([waiting[call] for call in late])')],
    "room-not-given-back": [("redis_session.reply_stream", "        if self.closed_because is None:\n            self._room = self.limits.backlog_calls - len(self._owed)", "")],
    "batch-over-the-bound": [("redis_session.reply_stream", "len(self._waiting) + len(commands) > self._room", "False")],
    "discarded-said-to-be-unknown": [("redis_session.pipeline", "if transactional and discarded(error)", "if False")],
    "written-said-to-be-not-sent": [("redis_session.reply_stream", "self._fail(self._owed, OutcomeUnknown,", "self._fail(self._owed, NotSent,")],
    "old-client-not-awaited": [("redis_session.redis_service", "await asyncio.wait(self._closing)  #", "pass  #")],
    "closed-and-still-connecting": [("redis_session.redis_service", "        for task in self._tasks.values():\n            task.cancel()\n        await asyncio.gather(*self._tasks.values(), *self._closing, return_exceptions=True)", "")],
    "what-ran-before-a-refusal-forgotten": [("redis_session.failures", "ran = wrote or isinstance", "ran = isinstance")],
    "idle-connection-not-proved": [("redis_session.redis_service", "< self.clocks.idle_check_s and client.connected", "< 1e9 and client.connected")],
    "a-refusal-means-that-nothing-was-stored-before": [
        ("queue_session.queue_service", "return _State.UNSENT if self is _State.FIRST_SEND else _State.MAYBE_STORED", "return _State.UNSENT")
    ],
    "sent-for-callers-who-have-given-up": [
        ("queue_session.queue_service", "while self._waiting and self._waiting[0].confirmed.done():", "while False:")
    ],
    "what-may-pass-ends-the-send": [("queue_session.queue_service", "elif _is_final(error):", "else:")],
    "a-message-is-repeated-without-bound": [("queue_session.queue_service", "waiting.attempts >= MAX_ATTEMPTS or", "")],
    "an-id-of-its-own-for-each-minute": [("tickets.desk", "minutes.bit_length()", "minutes")],
    "sent-over-a-link-that-failed": [("queue_session.queue_service", "        if not refused:\n            await self._close()\n        return too_large", "        return too_large")],
    "no-id-of-its-own-after-a-minute": [("tickets.desk", "if minutes > 0 else order.order_id", "if False else order.order_id")],
    # on a cluster
    "topology-asked-on-an-unproved-connection": [("redis_session.cluster_nodes", "client = await node.session.healthy_client(patient=False)", "client = node.open_client or await node.session.healthy_client()")],
    "forgotten-if-another-node-fails": [("redis_session.cluster_routing", "                    call.learn(node, nodes)\n", "                    pass\n")],
    "moved-is-forgotten": [("redis_session.cluster_routing", "nodes.moved(self.slot, place)", "nodes.refresh_soon()")],
    "a-storm-of-topologies": [
        ("redis_session.cluster_nodes", "if self.closed or self._refreshing:", "if self.closed:"),
        ("redis_session.cluster_nodes", "await asyncio.sleep(max(self._backoff.next_wait_s(), self._not_before - self._loop.time()))", "pass"),
    ],
    "redirect-counted-as-run": [("redis_session.wire", "if did_not_run(error)", "if did_not_run(error) and ':63' not in str(error)")],
    "refused-asking-taken-back-twice": [("redis_session.cluster_routing", "call.asked is not None and not isinstance(next(outcomes), RedisError)", "call.asked is not None and (next(outcomes), )")],
    "transaction-stays-where-it-was": [("redis_session.cluster_pipeline", "(whole or of_exec(results)) and await", "False and await")],
    "a-node-that-left-fails-its-callers": [("redis_session.cluster_routing", "return node.left and isinstance(error, NotSent) and not isinstance(error, Overloaded)", "return False")],
    "redirected-after-the-end": [("redis_session.cluster_nodes", '        if self.closed:\n            raise NotSent("the client was closed")\n', "")],
    "nodes-that-left-stay-open": [("redis_session.cluster_nodes", "self._leaving[place] = node, self._spawn(node.retire(self._clocks.reply_s))", "pass")],
}
# fmt: on


def _edited(module: str, text: str, edits: list[Edit]) -> str:
    for _, old, new in (edit for edit in edits if edit[0] == module):
        if old not in text:
            raise LookupError(f"{module} no longer holds {old!r}: bring the fault up to date")
        text = text.replace(old, new)
    return text


def check(name: str) -> None:
    """Raises LookupError, or SyntaxError, if a fault no longer fits the code."""
    services = Path(__file__).parents[2] / "services"
    scripts = "".join(file.read_text(encoding="utf-8") for file in services.glob("tickets/lua/*.lua"))
    if missing := [line for line in LUA_LINES if line not in scripts]:
        raise LookupError(f"no script holds {missing}: bring the fault up to date")
    for module in {edit[0] for edit in MUTANTS[name]}:
        text = (services / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
        compile(_edited(module, text, MUTANTS[name]), module, "exec")


def apply(name: str | None) -> None:
    """Put a fault into everything that is imported from now on; None leaves the code as it is."""
    edits = MUTANTS[name] if name is not None else []
    as_it_is = SourceFileLoader.get_code

    def get_code(loader: SourceFileLoader, module: str) -> Any:
        within = module.removeprefix("services.")
        if within not in [edit[0] for edit in edits]:
            return as_it_is(loader, module)
        return compile(_edited(within, str(loader.get_source(module)), edits), loader.path, "exec", dont_inherit=True)

    SourceFileLoader.get_code = get_code  # type: ignore[method-assign, assignment]
