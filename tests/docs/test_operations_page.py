"""docs/operations.md treats every alert of the template, with the very queries."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import ROOT
from tests.pages import blocks, page, rows_with

OPERATIONS = page("operations.md")
QUERIES = blocks(OPERATIONS, "kusto")
DEPLOYED = json.loads((ROOT / "infra/params/managed-b0.snapshot.json").read_text(encoding="utf-8"))[
    "predictedResources"
]
CODE = "\n".join(file.read_text() for folder in ("services", "blueprints") for file in (ROOT / folder).rglob("*.py"))


def test_the_page_has_a_row_for_each_alert_and_no_other() -> None:
    kinds = ("Microsoft.Insights/metricAlerts", "Microsoft.Insights/scheduledQueryRules")
    made = {found["name"].rsplit("-", 1)[0] for found in DEPLOYED if found["type"] in kinds}
    assert len(made) >= 6
    assert {row["alert"].strip("`") for row in rows_with(OPERATIONS, "alert")} == made


@pytest.mark.parametrize("file", sorted((ROOT / "infra/queries").glob("*.kql")), ids=lambda file: file.stem)
def test_the_query_of_a_rate_alert_is_shown_as_it_is_deployed(file: Path) -> None:
    assert file.read_text(encoding="utf-8") in QUERIES


def test_the_page_names_the_function_that_it_stops() -> None:
    assert "async def fulfil_order(" in CODE
    assert OPERATIONS.count("AzureWebJobs.fulfil_order.Disabled") == 2
