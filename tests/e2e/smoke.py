"""`make smoke`: the README's walk-through against an app that is deployed, on a drop of its own.

Must never show the key, nor import anything but the standard library: the pipeline runs it while it may assign
roles. It leaves a drop of five tickets behind, which ends by itself; it puts nothing on the queue by
hand unless it is told the namespace, because one of those messages is meant to end in the dead-letter queue.
"""

from __future__ import annotations

import argparse
import http.client
import os
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Sequence

from tests.e2e.walk_through import Step, Unexpected, WalkThrough, steps

KEY_SETTING = "FUNCTIONS_KEY"
WITHIN_S = 90.0  # the first order wakes an instance of fulfil_order's own scale group
CALL_S = 30.0
PAUSE_S = 1.0

EXAMPLES = f"""\
examples:
  make smoke URL=https://func-example.azurewebsites.net KEY="$KEY"
  make smoke URL=https://func-example.azurewebsites.net KEY="$KEY" NAMESPACE=sb-example

The key is read from the environment, {KEY_SETTING}. With NAMESPACE the two messages by hand are sent too, as whoever is
signed in (az login); the second one is not an order: it ends in the dead-letter queue and raises that alert."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run every step; returns the exit code."""
    options = parse(arguments)
    walk_through = WalkThrough(
        options.url.rstrip("/"),
        sys.executable,
        drop_id=f"smoke-{uuid.uuid4()}",
        key=os.environ.get(KEY_SETTING, ""),
        queue_options=f"--namespace {options.namespace}" if options.namespace else "",
        within_s=WITHIN_S,
    )
    try:
        wait_until_ready(walk_through.url)
        for step in wanted(by_hand=bool(options.namespace)):
            walk_through.run(step)
            say(f"ok  {step.line}")
    except Unexpected as error:
        say(f"NOT ok  {error}{advice(str(error))}")
        return 1
    say(f"{walk_through.url} does what the README says (drop {walk_through.drop_id}).")
    return 0


def say(line: str) -> None:
    """To the person who started this, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options; ends the process with a usage message if they are wrong."""
    parser = argparse.ArgumentParser(
        prog="make smoke",
        usage="make smoke URL=https://... [KEY=...] [NAMESPACE=...]",
        description="Run the README's walk-through against a deployed app.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "url",
        nargs="?",
        default="",
        metavar="URL",
        help="the app's address, e.g. https://func-example.azurewebsites.net",
    )
    parser.add_argument("--namespace", metavar="NAME", help="the Service Bus namespace, to put messages on its queue")
    options = parser.parse_args(arguments)
    if not options.url.startswith(("http://", "https://")):
        wrong = f"{options.url} is not the address of an app:" if options.url else "which app?"
        parser.error(f"{wrong} URL=https://..., or URL=http://localhost:7071 for that of make run")
    return options


def wanted(*, by_hand: bool) -> list[Step]:
    """The steps to run."""
    return [step for step in steps() if by_hand or not step.is_by_hand]


def wait_until_ready(url: str) -> None:
    """Wait for the readiness that the app itself reports. Raises Unexpected with its reason."""
    ends_at, reported = time.monotonic() + WITHIN_S, False
    while (problem := why_not_ready(url)) and time.monotonic() < ends_at:
        if not reported:
            say(f"{url}/api/health/ready {problem}; waiting for at most {WITHIN_S:.0f} s ...")
            reported = True
        time.sleep(PAUSE_S)
    if problem:
        raise Unexpected(f"{url}/api/health/ready {problem}")


def why_not_ready(url: str) -> str:
    """Empty if the app is ready, else what it or the network says."""
    try:
        with urllib.request.urlopen(f"{url}/api/health/ready", timeout=CALL_S):  # noqa: S310 parse() lets only http pass
            return ""
    except urllib.error.HTTPError as error:
        with error:
            return f"answers {error.code} {error.read(500).decode(errors='replace')}"
    except (OSError, ValueError, http.client.HTTPException) as error:
        return f"cannot be reached: {error}"


def advice(error: str) -> str:
    """What to do next, where the answer tells."""
    if " 401" in error:
        return "\nThe key is missing or wrong: docs/deploy.md says how to get it."
    if "answers 404" in error:
        return "\nThe host runs without the app: is it published, and does its log show an import error?"
    return ""


if __name__ == "__main__":
    sys.exit(main())
