"""docs/deploy.md names files, parameters, outputs and settings that exist, and commands a shell can read."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests import ROOT
from tests.pages import blocks, page
from tests.stand_ins import recased, stand_ins

ROLES = (ROOT / "infra/modules/roles.bicep").read_text(encoding="utf-8")
GUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
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
    wanted = re.findall(r"(?:azd env get-value|output) ([A-Z_]{5,})", page("deploy.md"))
    assert len(wanted) == 2 * len(set(wanted))
    assert set(wanted) <= OUTPUTS


@pytest.mark.parametrize("name", PAGES)
def test_every_parameter_that_the_page_names_is_one_of_the_template(name: str) -> None:
    named = re.findall(
        r"`((?:redis|scale|always|http|message|deployer|alert|environment|private|zone|daily|availability)[A-Z]\w+|location)`",
        page(name),
    )
    assert named
    assert set(named) - {"redisAndStorage"} <= PARAMETERS  # a value of privateNetwork


def test_the_parameter_file_to_start_from_leaves_the_two_names_to_fill_in() -> None:
    started_from = re.findall(r"cp (infra/params/\S+)", page("deploy.md"))[0]
    text = (ROOT / started_from).read_text(encoding="utf-8")
    assert {"environmentName", "location"} <= set(re.findall(r"^param (\w+)", text, re.MULTILINE))


def test_the_defaults_that_the_page_states_are_those_of_the_template() -> None:
    assert f"param redisTier tierName = '{stated('REDIS_TIER')}'" in MAIN
    assert f"param scaleOutLimit int = {stated('SCALE_OUT_LIMIT')}" in MAIN


def block_with(text: str) -> str:
    """The one block of commands that holds a text."""
    (block,) = [block for block in blocks(page("deploy.md"), "sh") if text in block]
    return block


def stated(variable: str) -> str:
    found = re.search(rf"azd env set {variable} (\S+)", page("deploy.md"))
    assert found
    return found[1]


def test_the_lines_of_the_page_find_every_output_however_azure_spells_its_name(tmp_path: Path) -> None:
    azure = stand_ins(tmp_path, "az", "func")
    outputs = {recased(name): {"type": "String", "value": f"value of {name}"} for name in OUTPUTS}
    azure.answer("az deployment sub show", {"properties": {"outputs": outputs}})
    done = azure.run(block_with("az deployment sub show") + """printf '%s\n' "$NAME" "$GROUP" "$URL" "$NAMESPACE"\n""")
    assert done.stderr == ""
    read = ["AZURE_FUNCTION_APP_NAME", "AZURE_RESOURCE_GROUP", "SERVICE_API_URI", "SERVICE_BUS_NAMESPACE"]
    assert done.stdout.splitlines() == [f"value of {name}" for name in read]
    assert azure.asked[-1] == "func azure functionapp publish value of AZURE_FUNCTION_APP_NAME --python"


def test_every_variable_set_for_azd_is_one_that_it_fills_in() -> None:
    shown = re.findall(r"azd env set (\w+)", page("deploy.md"))
    known = re.findall(r"\$\{(\w+)", (ROOT / "infra/main.parameters.json").read_text(encoding="utf-8"))
    assert {"REDIS_HIGH_AVAILABILITY", "REDIS_PERSISTENCE", "REDIS_LOCATION"} <= set(shown) <= set(known)


@pytest.mark.parametrize(
    ("prefix", "subject"),
    [
        ("", "repo:you/ticket-drop:environment:production"),
        ("repo:you@1/ticket-drop@2", "repo:you@1/ticket-drop@2:environment:production"),
    ],
)
def test_the_credential_is_for_the_environment_that_the_pipeline_runs_in(
    tmp_path: Path, prefix: str, subject: str
) -> None:
    azure = stand_ins(tmp_path, "az", "gh")
    azure.answer("gh api repos/you/ticket-drop/actions/oidc/customization/sub", prefix)
    done = azure.run(block_with("federated-credential create"))
    assert done.stderr == ""
    (wanted,) = re.findall(
        r"federated-credential create --id .*?--parameters (\{.*?\n\})", "\n".join(azure.asked), re.DOTALL
    )
    credential = json.loads(wanted)
    assert credential["subject"] == subject
    workflow = (ROOT / ".github/workflows/deploy.yml").read_text(encoding="utf-8")
    assert f"environment: {subject.rsplit(':', 1)[1]} " in workflow


def test_the_pipeline_may_assign_the_roles_of_the_templates_and_no_other(tmp_path: Path) -> None:
    azure = stand_ins(tmp_path, "az", "gh")
    azure.run(block_with("federated-credential create"))
    (condition,) = re.findall(r"--condition .*", "\n".join(azure.asked), re.DOTALL)
    lists = re.findall(r"GuidEquals \{(.*?)\}", condition)
    assert [set(re.findall(GUID, one)) for one in lists] == [set(re.findall(GUID, ROLES))] * 2
    assert condition.count("(") == condition.count(")")
    assert f"the {['five', 'six', 'seven'][len(set(re.findall(GUID, ROLES))) - 5]} roles of" in page("deploy.md")


def test_the_threat_model_names_what_the_templates_have() -> None:
    security = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    alerts = (ROOT / "infra/modules/alerts.bicep").read_text(encoding="utf-8")
    assert {"privateNetwork", "scaleOutLimit", "dailyLogQuotaGb"} <= set(re.findall(r"`(\w+)`", security)) & PARAMETERS
    assert "name: 'redis-clients-unexpected'" in alerts
    assert "`redis-clients-unexpected`" in security


def test_what_the_pipeline_signed_in_with_is_taken_down_too() -> None:
    assert {"az role assignment delete", "az ad app delete"} <= set(
        re.findall(r"^az (?:\w+ ){1,2}delete", block_with("az ad app delete"), re.MULTILINE)
    )


def test_a_package_built_here_is_the_app_with_its_requirements_and_nothing_is_left_out_of_it(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    subprocess.run(["git", "clone", "--quiet", ROOT, tmp_path / "clone"], check=True)
    tools = stand_ins(tmp_path / "bin", "func", "uv")
    (tmp_path / "clone/.venv").mkdir()
    (tmp_path / "clone/.venv/bin").symlink_to(tmp_path / "bin")
    done = tools.run(block_with("--no-build"), {"NAME": "app"}, cwd=tmp_path / "clone")
    assert done.stderr == ""
    package = tmp_path / "package"
    assert (package / ".funcignore").read_text() == ""
    assert {file.name for file in package.iterdir()} == {
        *("blueprints", "services", "function_app.py", "host.json", "requirements.txt", ".funcignore")
    }
    installed, published = tools.asked
    assert "--target ../package/.python_packages/lib/site-packages" in installed
    assert published == "func azure functionapp publish app --python --no-build"
