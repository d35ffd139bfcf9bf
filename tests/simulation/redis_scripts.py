"""Lua for the model Redis: the app's own script files in Lua 5.1, with `redis.call` and a cjson of ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

from lupa.lua51 import LuaRuntime, lua_type  # type: ignore[import-untyped] # has no types

_PRELUDE = rb"""
local call, decode, null = ...
redis = {call = call, error_reply = function(m) return {err = m} end, status_reply = function(m) return {ok = m} end}
cjson = {decode = decode, null = null}
local short = {['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'}
local function escaped(c) return '\\' .. (short[c] or c:find('%p') and c or ('u%04x'):format(c:byte())) end
function cjson.encode(value)  -- as the real one: 14 digits, and an empty table is an object
    local kind = type(value)
    if kind == 'string' then return '"' .. value:gsub('[%c"\\/]', escaped) .. '"' end
    if kind == 'number' then return ('%.14g'):format(value) end
    if kind ~= 'table' then return value == null and 'null' or tostring(value) end
    local parts = {}
    for name, item in pairs(value) do
        item = cjson.encode(item)
        parts[#parts + 1] = #value > 0 and item or cjson.encode(name) .. ':' .. item
    end
    local inner = table.concat(parts, ',')
    return #value > 0 and '[' .. inner .. ']' or '{' .. inner .. '}'
end
"""


class Scripts:
    """Compiled once per text for the whole process: a script keeps nothing between its calls."""

    def __init__(self) -> None:
        self._lua = LuaRuntime(encoding=None, unpack_returned_tuples=True, register_eval=False)
        self._call: Callable[..., Any] = lambda *_: None
        self._null = self._lua.eval("newproxy()")
        self._lua.execute(_PRELUDE, self._from_lua, self._decode, self._null)

    @cache  # noqa: B019 - one runtime per process
    def compiled(self, text: bytes) -> Any:
        """The script as a function of KEYS and ARGV."""
        return self._lua.eval(b"function(KEYS, ARGV) " + text + b"\nend")

    def run(self, text: bytes, keys: list[bytes], arguments: list[bytes], call: Callable[..., Any]) -> Any:
        """What the script returns, as Python values. `call` executes one command; what it raises ends the script."""
        self._call = call
        table = self._lua.table_from
        return _to_python(self.compiled(text)(table(keys), table(arguments)))

    def _from_lua(self, *arguments: Any) -> Any:
        reply = self._call([a if type(a) is bytes else b"%.17g" % a for a in arguments])
        if type(reply) is list:
            return self._lua.table_from([False if item is None else item for item in reply])
        return False if reply is None else reply

    def _decode(self, text: bytes) -> Any:
        return self._lua_of(json.loads(text.decode()))

    def _lua_of(self, value: Any) -> Any:
        """What JSON says, as cjson decodes it."""
        if isinstance(value, str):
            return value.encode()
        if isinstance(value, dict):
            return self._lua.table_from({name.encode(): self._lua_of(item) for name, item in value.items()})
        if isinstance(value, list):
            return self._lua.table_from([self._lua_of(item) for item in value])
        return self._null if value is None else value


def _to_python(value: Any) -> Any:
    if lua_type(value) == "table":
        if (error := value[b"err"]) is not None:
            return Exception(error.decode())
        if (status := value[b"ok"]) is not None:
            return status.decode()
        found: list[Any] = []
        while (item := value[len(found) + 1]) is not None:
            found.append(_to_python(item))
        return found
    if isinstance(value, bool):
        return 1 if value else None
    return int(value) if isinstance(value, float) else value


@cache
def scripts() -> Scripts:
    """The one runtime of this process."""
    return Scripts()
