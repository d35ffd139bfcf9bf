"""Faults that are put back into the code in memory, while it is imported, to prove that the world finds them."""

from __future__ import annotations

import importlib.abc
import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any

# fault -> [(module or Lua file, what stands there, what stands there instead)]
MUTANTS: dict[str, list[tuple[str, str, str]]] = {}


class _Loader(SourceFileLoader):
    def __init__(self, name: str, path: str, edits: list[tuple[str, str]]) -> None:
        super().__init__(name, path)
        self._edits = edits

    def get_code(self, fullname: str) -> Any:
        text = self.get_source(fullname)
        assert text is not None
        for old, new in self._edits:
            if old not in text:
                raise LookupError(f"{fullname} no longer holds {old!r}: bring the fault up to date")
            text = text.replace(old, new)
        return compile(text, self.path, "exec", dont_inherit=True)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, edits: dict[str, list[tuple[str, str]]]) -> None:
        self._edits = edits

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
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
