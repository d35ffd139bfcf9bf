"""The real Bicep compiler: its command line, and its JSON-RPC server, which evaluates a file in a third of a second.

Must never run inside the repository: the compiler writes beside what it reads.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Timer
from typing import Any

HOW_TO_GET_IT = "no Bicep compiler on PATH or in BICEP: `az bicep install`, or github.com/Azure/bicep/releases"
ANSWER_S = 120.0  # an answer takes a third of a second; a busy machine is given more
ANY_ID = "11111111-1111-1111-1111-111111111111"
DEPLOYMENT = {
    "subscription-id": ANY_ID,
    "tenant-id": ANY_ID,
    "location": "swedencentral",
    "deployment-name": "main",  # without it the outputs of modules stay expressions
}
ENVIRONMENT = {"DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1", **os.environ}  # slim images have no ICU


class Refused(Exception):
    """The template itself says no: `fail()`, or an error while it is evaluated."""


def find_compiler() -> Path | None:
    """By the variable BICEP, or on PATH."""
    found = os.environ.get("BICEP") or shutil.which("bicep")
    return Path(found).resolve() if found else None


def run(compiler: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """One command. Its exit code is the caller's to judge: warnings exit with 0."""
    return subprocess.run(
        [compiler, *arguments],
        cwd=cwd,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=ANSWER_S,
        check=False,
    )


def snapshot_by_command(compiler: Path, parameters: Path) -> subprocess.CompletedProcess[str]:
    """`bicep snapshot`, as a person calls it; leaves `<name>.snapshot.json` beside the file."""
    options = [part for name, text in DEPLOYMENT.items() for part in (f"--{name}", text)]
    return run(compiler, "snapshot", str(parameters), *options, cwd=parameters.parent)


@dataclass
class Evaluator:
    """`bicep jsonrpc --stdio`. Reads the files at each call."""

    process: subprocess.Popen[bytes]
    _calls: int = field(default=0, init=False)

    def compile(self, file: Path) -> dict[str, Any]:
        """The ARM template of a .bicep file."""
        answer = self._call("bicep/compile", {"path": str(file)})["result"]
        if not answer["success"] or answer["diagnostics"]:
            raise Refused(str(answer["diagnostics"]))
        template: dict[str, Any] = json.loads(answer["contents"])
        return template

    def snapshot(self, parameters: Path) -> dict[str, Any]:
        """What a .bicepparam file would deploy: `predictedResources` and `outputs`. Raises Refused."""
        metadata = {_camel_case(name): text for name, text in DEPLOYMENT.items()}
        request = {"path": str(parameters), "metadata": metadata, "externalInputs": []}
        answer = self._call("bicep/getSnapshot", request)
        if "error" in answer:
            raise Refused(answer["error"]["data"]["message"])
        evaluated: dict[str, Any] = json.loads(answer["result"]["snapshot"])
        return evaluated

    def _call(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._calls += 1
        request = json.dumps({"jsonrpc": "2.0", "id": self._calls, "method": method, "params": params}).encode()
        assert self.process.stdin is not None
        deadline = Timer(ANSWER_S, self.process.kill)
        deadline.start()
        try:
            self.process.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(request), request))
            self.process.stdin.flush()
            return self._answer()
        finally:
            deadline.cancel()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        length = 0
        while header := self.process.stdout.readline().strip():
            name, _, text = header.partition(b":")
            if name.lower() == b"content-length":
                length = int(text)
        if not length:
            raise RuntimeError(f"the compiler ended, or did not answer within {ANSWER_S:g} s")
        answer: dict[str, Any] = json.loads(self.process.stdout.read(length))
        return answer


@contextmanager
def evaluator(compiler: Path) -> Iterator[Evaluator]:
    """A running JSON-RPC server; ended on leaving."""
    command = [str(compiler), "jsonrpc", "--stdio"]
    with subprocess.Popen(
        command, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield Evaluator(process)
        finally:
            process.kill()


def _camel_case(name: str) -> str:
    first, *others = name.split("-")
    return first + "".join(word.capitalize() for word in others)
