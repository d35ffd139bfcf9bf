"""Triggers: each parses what came in, calls a service and builds the answer. No Redis, no Lua, no SDK here."""
