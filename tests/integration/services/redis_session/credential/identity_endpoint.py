"""The identity endpoint that App Service and Functions give an app, as an HTTP server on loopback.

Protocol: "How to use managed identities for App Service and Azure Functions", REST endpoint reference.
"""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jwt

HEADER = "identity-header-secret"
OBJECT_ID = "6f2d8f1e-0000-4000-8000-00000000beef"


def new_token(number: int, life_s: float = 3600, **claims: Any) -> str:
    """A signed token as Entra ID issues them, but for its signer."""
    content = {"oid": OBJECT_ID, "exp": int(time.time() + life_s), "jti": str(number), **claims}
    return jwt.encode(
        {name: claim for name, claim in content.items() if claim is not None}, "k" * 32, algorithm="HS256"
    )


class IdentityEndpoint:
    """Answers each request with a new token, or with `answer` (status, body); keeps the requests' queries.

    A closed `gate` lets requests hang.
    """

    def __init__(self) -> None:
        self.requests: list[dict[str, str]] = []
        self.tokens: list[str] = []
        self.answer: tuple[int, object] | None = None
        self.gate = threading.Event()
        self.gate.set()

    def __enter__(self) -> IdentityEndpoint:
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                endpoint._serve(self)

            def log_message(self, *_: object) -> None:
                """Nothing to stderr."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/msi/token"
        return self

    def __exit__(self, *error: object) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        self.requests.append(dict(parse_qsl(urlsplit(request.path).query)))
        self.gate.wait(20)
        status, body = self.answer or self._issue()
        if request.headers["X-IDENTITY-HEADER"] != HEADER:
            status, body = 401, {"statusCode": 401, "message": "wrong header"}
        content = (body if isinstance(body, str) else json.dumps(body)).encode()
        with suppress(OSError):  # who asked has given up
            request.send_response(status)
            request.send_header("Content-Length", str(len(content)))
            request.end_headers()
            request.wfile.write(content)

    def _issue(self) -> tuple[int, object]:
        self.tokens.append(new_token(len(self.tokens)))
        return 200, token_answer(self.tokens[-1])


def token_answer(token: str) -> dict[str, str]:
    """The endpoint's good answer."""
    return {"access_token": token, "expires_on": str(int(time.time()) + 3600), "resource": "x", "token_type": "Bearer"}
