"""Lua for the model Redis: the app's own script files in Lua 5.1, with `redis.call` and a cjson of ours."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from lupa.lua51 import LuaRuntime, lua_type  # type: ignore[import-untyped] # has no types

_PRELUDE = rb"""
local call = ...
local null = newproxy()
local escapes = {['"'] = '\\"', ['\\'] = '\\\\', ['/'] = '\\/', ['\b'] = '\\b', ['\f'] = '\\f', ['\n'] = '\\n',
                 ['\r'] = '\\r', ['\t'] = '\\t', ['\127'] = '\\u007f'}
local function escape(c) return escapes[c] or string.format('\\u%04x', string.byte(c)) end
local encode
local function encode_table(value)
  local parts, count = {}, 0
  for key in pairs(value) do
    count = count + 1
    if type(key) ~= 'number' then count = -1; break end
  end
  if count > 0 then
    for i = 1, #value do parts[i] = encode(value[i]) end
    return '[' .. table.concat(parts, ',') .. ']'
  end
  for key, item in pairs(value) do parts[#parts + 1] = encode(tostring(key)) .. ':' .. encode(item) end
  return '{' .. table.concat(parts, ',') .. '}'
end
function encode(value)
  local kind = type(value)
  if kind == 'string' then return '"' .. string.gsub(value, '[%c"\\/\127]', escape) .. '"' end
  if kind == 'number' then return string.format('%.14g', value) end
  if kind == 'table' then return encode_table(value) end
  return kind == 'boolean' and tostring(value) or 'null'
end
local plain = {b = '\b', f = '\f', n = '\n', r = '\r', t = '\t', ['"'] = '"', ['\\'] = '\\', ['/'] = '/'}
local function utf8(hex)
  local n = tonumber(hex, 16)
  if n < 128 then return string.char(n) end
  if n < 2048 then return string.char(192 + math.floor(n / 64), 128 + n % 64) end
  return string.char(224 + math.floor(n / 4096), 128 + math.floor(n / 64) % 64, 128 + n % 64)
end
local function text(json, at)
  local from, parts = at + 1, {}
  while true do
    local stop = string.find(json, '["\\]', from)
    parts[#parts + 1] = string.sub(json, from, stop - 1)
    if string.sub(json, stop, stop) == '"' then return table.concat(parts), stop + 1 end
    local c = string.sub(json, stop + 1, stop + 1)
    parts[#parts + 1] = plain[c] or utf8(string.sub(json, stop + 2, stop + 5))
    from = stop + (plain[c] and 2 or 6)
  end
end
local words = {t = {true, 4}, f = {false, 5}, n = {null, 4}}
local function decode(json, at)
  at = string.find(json, '[^%s]', at)
  local c = string.sub(json, at, at)
  if c == '"' then return text(json, at) end
  if words[c] then return words[c][1], at + words[c][2] end
  if c ~= '{' and c ~= '[' then
    local _, stop = string.find(json, '^[-+%d.eE]+', at)
    return tonumber(string.sub(json, at, stop)), stop + 1
  end
  local found, index, close = {}, 0, c == '{' and '}' or ']'
  at = string.find(json, '[^%s]', at + 1)
  while string.sub(json, at, at) ~= close do
    local key = index + 1
    if c == '{' then
      key, at = text(json, at)
      at = string.find(json, ':', at, true) + 1
    end
    index = index + 1
    found[key], at = decode(json, at)
    at = string.find(json, '[^%s,]', at)
  end
  return found, at + 1
end
redis = {call = call, error_reply = function(m) return {err = m} end, status_reply = function(m) return {ok = m} end}
cjson = {encode = encode, decode = function(json) return (decode(json, 1)) end, null = null}
"""


class Scripts:
    """Compiled once per text for the whole process: a script keeps nothing between its calls."""

    def __init__(self) -> None:
        self._lua = LuaRuntime(encoding=None, unpack_returned_tuples=True, register_eval=False)
        self._call: Callable[..., Any] = lambda *_: None
        self._lua.execute(_PRELUDE, self._from_lua)

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
        reply = self._call([a if isinstance(a, bytes) else b"%.17g" % a for a in arguments])
        if isinstance(reply, list):
            return self._lua.table_from([False if item is None else item for item in reply])
        return False if reply is None else reply


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
