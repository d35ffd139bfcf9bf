"""What an identity needs is imported when a token is fetched, and never before: half a second of every cold start."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests import ROOT

COSTLY = {"redis_entraid", "msal", "azure.identity", "requests"}
CLIENT_ID = "11111111-2222-4333-8444-555555555555"
BUILD = "import services.app_services"
FETCH = "from services.identity import entra_credential as fetch\ntry: fetch('x')\nexcept Exception: pass"


def imported_by(code: str, **environment: str) -> set[str]:
    """Which of the costly modules a new process has after running this."""
    code += f"\nimport sys; print(*({COSTLY!r} & set(sys.modules)))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("client_id", ["", CLIENT_ID], ids=["without", "with"])
def test_loading_the_app_imports_nothing_of_it_with_or_without_an_identity(client_id: str) -> None:
    url = "rediss://cache.example:10000/0"
    assert imported_by(BUILD, REDIS_URL=url, REDIS_ENTRA_CLIENT_ID=client_id) == set()


def test_a_fetch_imports_all_of_it() -> None:
    """The control of the test above; the endpoint is a closed port."""
    assert imported_by(FETCH, IDENTITY_ENDPOINT="http://127.0.0.1:1/", IDENTITY_HEADER="x") == COSTLY


def test_only_a_client_id_gives_the_session_a_credential() -> None:
    code = BUILD + " as app\nprint(app.shared.redis_service._credential)"
    done = [
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={"REDIS_URL": "rediss://cache.example:10000/0", "REDIS_ENTRA_CLIENT_ID": client_id},
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        ).stdout.strip()
        for client_id in ("", CLIENT_ID)
    ]
    assert done == ["None", "<RedisCredential none>"]
