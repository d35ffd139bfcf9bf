"""docs/deploy.md names files, parameters, outputs and settings that exist, and commands a shell can read."""

import re
import subprocess
from pathlib import Path

import pytest

from tests import ROOT
from tests.pages import blocks, page
from tests.stand_ins import recased, stand_ins

MAIN = (ROOT / "infra/main.bicep").read_text(encoding="utf-8")
OUTPUTS = set(re.findall(r"^output (\w+)", MAIN, re.MULTILINE))
PARAMETERS = set(re.findall(r"^param (\w+)", MAIN, re.MULTILINE))
PAGES = ["deploy.md", "operations.md", "sizing.md"]
OWN_FILE = "infra/params/mine.bicepparam"  # the reader makes it


@pytest.mark.parametrize("name", PAGES)
def test_every_file_that_the_page_names_exists(name: str) -> None:
    named = set(re.findall(r"\b(?:infra|services|tests|docs)/[\w./-]*\w|\.github/[\w./-]+\w", page(name))) - {OWN_FILE}
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("name", PAGES)
def test_every_command_is_valid_shell(name: str) -> None:
    for block in blocks(page(name), "sh"):
        subprocess.run(["bash", "-n"], input=block, text=True, check=True)


def test_the_outputs_that_both_ways_read_are_outputs_of_the_template() -> None:
    asked = re.findall(r"(?:azd env get-value|output) ([A-Z_]{5,})", page("deploy.md"))
    assert len(asked) == 2 * len(set(asked))
    assert set(asked) <= OUTPUTS


@pytest.mark.parametrize("name", PAGES)
def test_every_parameter_that_the_page_names_is_one_of_the_template(name: str) -> None:
    named = re.findall(
        r"`((?:redis|scale|always|http|message|deployer|alert|environment)[A-Z]\w+|location)`", page(name)
    )
    assert named
    assert set(named) <= PARAMETERS


def test_the_parameter_file_to_start_from_leaves_the_two_names_to_fill_in() -> None:
    started_from = re.findall(r"cp (infra/params/\S+)", page("deploy.md"))[0]
    text = (ROOT / started_from).read_text(encoding="utf-8")
    assert {"environmentName", "location"} <= set(re.findall(r"^param (\w+)", text, re.MULTILINE))


def test_the_defaults_that_the_page_states_are_those_of_the_template() -> None:
    assert f"param redisTier tierName = '{stated('REDIS_TIER')}'" in MAIN
    assert f"param scaleOutLimit int = {stated('SCALE_OUT_LIMIT')}" in MAIN


def stated(variable: str) -> str:
    found = re.search(rf"azd env set {variable} (\S+)", page("deploy.md"))
    assert found
    return found[1]


def test_the_lines_of_the_page_find_every_output_however_azure_spells_its_name(tmp_path: Path) -> None:
    azure = stand_ins(tmp_path, "az", "func")
    outputs = {recased(name): {"type": "String", "value": f"value of {name}"} for name in OUTPUTS}
    azure.answer("az deployment sub show", {"properties": {"outputs": outputs}})
    (block,) = [block for block in blocks(page("deploy.md"), "sh") if "az deployment sub show" in block]
    done = azure.run(block + """printf '%s\n' "$NAME" "$GROUP" "$URL" "$NAMESPACE"\n""")
    assert done.stderr == ""
    read = ["AZURE_FUNCTION_APP_NAME", "AZURE_RESOURCE_GROUP", "SERVICE_API_URI", "SERVICE_BUS_NAMESPACE"]
    assert done.stdout.splitlines() == [f"value of {name}" for name in read]
    assert azure.asked[-1] == "func azure functionapp publish value of AZURE_FUNCTION_APP_NAME --python"


def test_the_stand_in_spells_outputs_as_the_reports_say() -> None:
    assert recased("AZURE_FUNCTION_APP_NAME") == "azurE_FUNCTION_APP_NAME"
