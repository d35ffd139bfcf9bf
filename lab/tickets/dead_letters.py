"""`python -m lab dead-letters`: the queue's own account, and which order each letter is about, as the app knows it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

import httpx

from lab.azure import dead_letters
from lab.azure.dead_letters import DESCRIPTION, EXAMPLES, HELP, run
from lab.azure.letter import Letter
from lab.tickets.app_client import NoAnswer, add_app_arguments, find_app, get
from lab.tickets.letters import order_of

__all__ = ["DESCRIPTION", "EXAMPLES", "HELP", "add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    dead_letters.add_arguments(parser, columns)
    add_app_arguments(parser, "also show each letter's order as this app knows it: a decided one need not be replayed")


def columns(options: argparse.Namespace, letters: Sequence[Letter]) -> Mapping[str, Sequence[str]]:
    """Each letter's order, and with --url what the app says of it."""
    orders = [order_of(letter) for letter in letters]
    cells = {"order": [order_id for _, order_id in orders]}
    if options.url:
        with find_app(options) as app:
            cells["the app says"] = [known(app, *order) for order in orders]
    return cells


def known(app: httpx.Client, drop_id: str, order_id: str) -> str:
    """The order's status, `unknown`, or why it is not known."""
    if not (drop_id and order_id):
        return "no order"
    try:
        order = get(app, f"/drops/{drop_id}/orders/{order_id}")
    except NoAnswer as error:
        return str(error)
    return str(order["status"]) if order else "unknown"
