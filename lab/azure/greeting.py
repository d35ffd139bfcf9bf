"""What `python -m lab up` tells a person: what runs where, how to call it and how to end it. It shows no secret."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from rich.console import Console
from rich.text import Text

from lab.azure.app_needs import AppNeeds
from lab.azure.queue_target import endpoint
from lab.azure.settings import CONNECTION, ROOT
from lab.azure.state_file import DEFAULT_PATH


class Lab(Protocol):
    """What it needs to know of a running lab."""

    settings: dict[str, str]
    served: dict[str, Any]
    needs: AppNeeds
    state_path: Path
    not_ready: str | None


def introduce(console: Console, lab: Lab, options: argparse.Namespace) -> None:
    """Tell a person what runs where and how to end it."""
    for line in (*functions(lab, options), "", *places(lab, options)):
        console.print(line, markup=False, soft_wrap=True)
    for name, reason in lab.served.get("errors", {}).items():
        console.print(Text(f"{name} is not served: {reason}", style="bold red"), soft_wrap=True)
    where = "for an app on another host" if options.without_app else f"on {lab.served['url']}"
    if any(lab.served.get(kind) for kind in ("http", "service_bus", "timers")):
        but, style = "", "bold green"
    else:
        but, style = ", but NO FUNCTION is served", "bold red"
    console.print(f"\nReady {where}{but} - Ctrl-C ends it all.", style=style, soft_wrap=True)
    if lab.not_ready is not None:
        console.print(
            Text(f"The app itself says that it is NOT READY: {lab.not_ready}", style="bold red"), soft_wrap=True
        )


def functions(lab: Lab, options: argparse.Namespace) -> Iterator[Text]:
    for served in lab.served.get("http", []):
        methods = " ".join(served["methods"]) or "any method"
        line = named(served).append(f"{methods:<6} {served['url']}", style="not bold cyan")
        yield line.append(f"  {auth(served['auth_level'], options.key)}", style="not bold dim")
    for served in lab.served.get("service_bus", []):
        yield named(served).append(f"queue  {served['entity']}", style="not bold magenta")
    for served in lab.served.get("timers", []):
        fire = f"curl -X POST {lab.served['url']}/admin/functions/{served['name']}"
        yield named(served).append(f"timer  {served['schedule']}  (now: {fire})", style="not bold magenta")


def named(served: dict[str, Any]) -> Text:
    return Text(f"{served['name']:<14} ", style="bold")


def places(lab: Lab, options: argparse.Namespace) -> Iterator[str]:
    """Where the parts are, without their secrets."""
    limit = f", at most {options.client_limit} clients" if options.client_limit else ""
    if options.redis_cluster:
        limit = f" and {options.redis_cluster - 1} more primaries of its cluster{limit}{' each' if limit else ''}"
    yield f"Redis          {redis_place(lab.settings['REDIS_URL'])}{limit}"
    queues = ", ".join(f"'{queue}'" for queue in lab.needs.queues)
    yield f"Service Bus    {endpoint(lab.settings[CONNECTION])}, queue {queues}"
    where = "" if lab.state_path == DEFAULT_PATH else f" --state {lab.state_path}"
    command = f"{python()} -m lab"
    yield f"by hand        {command} enqueue{where} BODY, {command} dead-letters{where} (in a second terminal)"
    if lab.served.get("docs"):
        yield f"API            {lab.served['docs']} (to read and to try)"
    if options.key:
        yield "key            goes into the header x-functions-key"


def redis_place(url: str) -> str:
    """Host and port. Nothing of a malformed URL is shown, as any part may be the password."""
    try:
        parts = urlsplit(url)
        if parts.scheme in ("redis", "rediss") and re.fullmatch(r"[a-z0-9.:-]+", parts.hostname or ""):
            return f"{parts.hostname}:{parts.port or 6379}"
    except ValueError:
        pass
    return "an address that the app cannot use"


def python() -> str:
    """The interpreter that has the lab's packages, as one types it in the project's folder."""
    own = Path(sys.executable)
    return str(own.relative_to(ROOT)) if own.is_relative_to(ROOT) else str(own)


def auth(level: str, key: str | None) -> str:
    """What a caller needs, in words."""
    if level == "ANONYMOUS":
        return "anyone"
    return "key" if key else "key (not asked for without --key)"
