"""The code of docs/another-dependency.md, imported."""

from collections.abc import Iterator
from types import ModuleType

import pytest

from tests.docs import another_dependency


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ModuleType]]:
    """Name -> module."""
    yield another_dependency.load(tmp_path_factory.mktemp("page"))
    another_dependency.forget()
