"""Hypothesis for the core suite, which also runs without it: then a property is a skipped test, its neighbours run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.plain_pytest import missing, needs

if TYPE_CHECKING or not missing(["hypothesis"]):
    from hypothesis import given
    from hypothesis import strategies as st
else:

    class _Nothing:
        """Stands for every strategy."""

        def __getattr__(self, name: str) -> Any:
            return self

        def __call__(self, *args: Any, **options: Any) -> Any:
            return self

        __or__ = __getattr__

    st = _Nothing()

    def given(*args: Any, **options: Any) -> Any:
        return pytest.mark.skip(reason=needs(["hypothesis"]))


__all__ = ["given", "st"]
