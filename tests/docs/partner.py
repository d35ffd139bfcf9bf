"""A partner's HTTP API as a process of its own: `python partner.py PORT`. Listens on 127.0.0.1 only.

GET / says how many connections it has had at once, and its orders; GET /slow takes long, GET /broken is a 503; POST
/orders makes one order for each Idempotency-Key, and refuses as many with 429 as GET /busy/COUNT/SECONDS has asked for.
Standard library only.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WORK_S = 0.02
LONG_S = 60.0


def say(word: str) -> None:
    """To who started this."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


class Books:
    """What it remembers."""

    lock = threading.Lock()
    open = peak = posts = refusals = retry_after_s = 0
    orders: set[str] = set()  # noqa: RUF012 - there is one


class Handler(BaseHTTPRequestHandler):
    """One thread for each connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def handle(self) -> None:
        """Serve one connection, and count it."""
        with Books.lock:
            Books.open += 1
            Books.peak = max(Books.peak, Books.open)
        try:
            super().handle()
        except ConnectionError:
            self.close_connection = True
        finally:
            with Books.lock:
                Books.open -= 1

    def do_GET(self) -> None:
        """The books, at once or late."""
        if self.path == "/slow":
            say("slow")
            time.sleep(LONG_S)
        if self.path.startswith("/busy/"):
            Books.refusals, Books.retry_after_s = map(int, self.path.split("/")[2:])
        time.sleep(WORK_S)
        self._answer(
            503 if self.path == "/broken" else 200,
            {"peak": Books.peak, "orders": len(Books.orders), "posts": Books.posts},
        )

    def do_POST(self) -> None:
        """An order."""
        self.rfile.read(int(self.headers["Content-Length"]))
        with Books.lock:
            Books.posts += 1
            refused, Books.refusals = Books.refusals > 0, max(0, Books.refusals - 1)
            if not refused:
                Books.orders.add(self.headers["Idempotency-Key"])
        self._answer(429 if refused else 201, {"orders": len(Books.orders)})

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Say nothing."""

    def _answer(self, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if status == 429:
            self.send_header("Retry-After", str(Books.retry_after_s))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    """Takes a burst of connections, and does not wait for its threads at the end."""

    request_queue_size = 128
    daemon_threads = True


if __name__ == "__main__":
    with Server(("127.0.0.1", int(sys.argv[1])), Handler) as server:
        say("ready")
        server.serve_forever()
