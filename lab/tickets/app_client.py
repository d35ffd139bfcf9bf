"""The app's HTTP API as a tool asks it. Must never show the key."""

from __future__ import annotations

import argparse
import ipaddress
import os
from typing import Any
from urllib.parse import urlsplit

import httpx

from lab.azure.state_file import read_state

KEY = "FUNCTIONS_KEY"
ASK_S = 15.0


class NoAnswer(LookupError):
    """The app did not answer as documented; the message says what it answered."""


def add_app_arguments(parser: argparse.ArgumentParser, about: str) -> None:
    group = parser.add_argument_group("which app")
    group.add_argument("--url", help=about)
    group.add_argument("--key", default=os.environ.get(KEY), help=f"its function key (default: ${KEY})")


def find_app(options: argparse.Namespace) -> httpx.Client:
    """The app that the options name, else the running lab's. Raises NoAnswer, and ValueError for an invalid URL."""
    state = None if options.url else read_state(options.state)
    url = options.url or (state and state.url)
    if not url:
        raise NoAnswer("No lab is running here: name the app with --url.")
    headers = {"x-functions-key": options.key} if options.key else {}
    return httpx.Client(
        base_url=f"{url.rstrip('/')}/api", headers=headers, timeout=ASK_S, trust_env=trusts_proxies(url)
    )


def trusts_proxies(url: str) -> bool:
    """False for loopback, which no proxy can reach: HTTP_PROXY and SSL_CERT_FILE do not apply to it."""
    host = urlsplit(url).hostname or ""
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"


def get(app: httpx.Client, path: str, **parameters: str | int) -> Any:
    """The document, or None if the app has none there. Raises NoAnswer within 15 s."""
    try:
        answer = app.get(path, params=parameters)
        if answer.status_code == httpx.codes.NOT_FOUND and answer.content:
            return None
        if answer.status_code == httpx.codes.OK:
            return answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise NoAnswer(f"The app does not answer ({type(error).__name__}): check --url.") from error
    hint = ": check --key" if answer.status_code == httpx.codes.UNAUTHORIZED else ""
    raise NoAnswer(f"The app answered {answer.status_code}{hint}.")
