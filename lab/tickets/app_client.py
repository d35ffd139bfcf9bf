"""The app's HTTP API as a tool asks it: drops and orders by their ids. Must never show the key."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import httpx

from lab.azure.local_http import trusts_proxies
from lab.azure.state_file import read_state

KEY = "FUNCTIONS_KEY"
ASK_S = 15.0
PAGE = 500  # the most that a page of orders takes


class NoAnswer(LookupError):
    """The app did not answer as documented; the message says what it answered."""


def add_app_arguments(parser: argparse.ArgumentParser, about: str) -> None:
    """The options that say which app."""
    group = parser.add_argument_group("which app")
    group.add_argument("--url", help=about)
    group.add_argument(
        "--key", default=os.environ.get(KEY), help=f"its function key (default: {KEY} of the environment)"
    )


def find_app(options: argparse.Namespace) -> AppClient:
    """The app that the options name, else the running lab's. Raises NoAnswer."""
    state = None if options.url else read_state(options.state)
    url = options.url or (state.url if state else "")
    if not url:
        raise NoAnswer("No lab is running here: name the app with --url.")
    return AppClient(url, options.key)


class AppClient:
    """A context manager. Every request has a deadline of 15 s; all raise NoAnswer, and httpx's errors as NoAnswer."""

    def __init__(self, url: str, key: str | None) -> None:
        headers = {"x-functions-key": key} if key else {}
        base = f"{url.rstrip('/')}/api"
        self._http = httpx.Client(base_url=base, headers=headers, timeout=ASK_S, trust_env=trusts_proxies(url))

    def __enter__(self) -> AppClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._http.close()

    def order_status(self, drop_id: str, order_id: str) -> str:
        """`queued`, `confirmed`, `refused`, or `unknown`."""
        answer = self._get(f"/drops/{drop_id}/orders/{order_id}", {})
        return str(answer["status"]) if answer else "unknown"

    def queued_orders(self, drop_id: str, queued_for_s: int) -> Iterator[dict[str, Any]]:
        """The drop's orders that have been queued for that long, each once."""
        wanted: dict[str, str | int] = {"status": "queued", "queued_for_s": queued_for_s, "limit": PAGE}
        seen: set[str] = set()
        while True:
            page = self._get(f"/drops/{drop_id}/orders", wanted)
            if page is None:
                raise NoAnswer(f"There is no drop {drop_id}.")
            for order in page["orders"]:
                if order["order_id"] not in seen:
                    seen.add(order["order_id"])
                    yield order
            if page["cursor"] is None:
                return
            wanted["cursor"] = page["cursor"]

    def _get(self, path: str, parameters: dict[str, str | int]) -> Any:
        """The document, or None if there is none."""
        try:
            answer = self._http.get(path, params=parameters)
            if answer.status_code == httpx.codes.NOT_FOUND and answer.content:
                return None
            if answer.status_code == httpx.codes.OK:
                return answer.json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise NoAnswer(f"The app does not answer ({type(error).__name__}): check --url.") from error
        hint = ": check --key" if answer.status_code == httpx.codes.UNAUTHORIZED else ""
        raise NoAnswer(f"The app answered {answer.status_code}{hint}.")
