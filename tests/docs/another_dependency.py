"""The code of docs/another-dependency.md, taken out of the page and imported under the names that it gives."""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

from tests.pages import page

PAGE = page("another-dependency.md")
FILES = dict(re.findall(r"\n`services/(\w+)\.py`:\n\n```python\n(.*?)```", PAGE, re.DOTALL))


def write_to(folder: Path) -> None:
    """The page's files, as a reader pastes them."""
    for name, text in FILES.items():
        (folder / f"{name}.py").write_text(text)


def load(folder: Path) -> dict[str, ModuleType]:
    """Name -> module. They import each other as `services.NAME`, so they are known by that name from now on."""
    write_to(folder)
    modules = {}
    for name in FILES:
        spec = importlib.util.spec_from_file_location(f"services.{name}", folder / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        modules[name] = sys.modules[f"services.{name}"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(modules[name])
    return modules


def forget() -> None:
    """Take the names back."""
    for name in FILES:
        sys.modules.pop(f"services.{name}", None)
