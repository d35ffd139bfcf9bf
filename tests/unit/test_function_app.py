"""function_app.py is a module, which import-linter does not take: this holds what it may import."""

from __future__ import annotations

import ast

from tests import ROOT

TREE = ast.parse((ROOT / "function_app.py").read_text(encoding="utf-8"))


def test_the_app_imports_the_blueprints_the_services_and_the_functions_library_only() -> None:
    imported = {name.name for node in ast.walk(TREE) if isinstance(node, ast.Import) for name in node.names}
    imported |= {node.module or "." for node in ast.walk(TREE) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in imported} == {"logging", "azure", "blueprints", "services"}
