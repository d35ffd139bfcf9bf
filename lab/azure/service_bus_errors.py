"""Turns what can go wrong between a tool and a Service Bus into one line that says what to do.

Must never print a connection string or a stack trace.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator

HINTS = {
    "ServiceBusConnectionError": "Service Bus does not answer: does `python -m lab up` run, is the address right?",
    "ServiceBusAuthenticationError": "Service Bus refused the key or the identity: check them, or `az login`.",
    "ServiceBusAuthorizationError": "This identity needs a Service Bus data role on the queue.",
    "MessagingEntityNotFoundError": "There is no such queue: check --queue.",
    "MessageSizeExceededError": "A message is larger than the queue takes.",
    "ServiceBusQuotaExceededError": "The queue is full.",
    "OperationTimeoutError": "Service Bus did not answer in time.",
    "ClientAuthenticationError": "Nobody is signed in: `az login` first, or use --service-bus.",
}


@contextlib.contextmanager
def readable_errors() -> Iterator[None]:
    """Print an expected failure as one line on stderr and swallow it; programming errors go through."""
    sdk = logging.getLogger("azure")
    level = sdk.level
    sdk.setLevel(logging.CRITICAL)  # its own account of the same failure
    try:
        yield
    except (OSError, ValueError, LookupError, TimeoutError) as error:
        print(f"error: {error}", file=sys.stderr)
    except Exception as error:
        hint = HINTS.get(type(error).__name__)
        if hint is None:
            raise
        print(f"error: {hint}", file=sys.stderr)
    finally:
        sdk.setLevel(level)
