"""Which function answers a method and a path: each rule measured on the real host."""

from __future__ import annotations

import pytest

from lab.azure.functions_host.request_path import normalize
from lab.azure.functions_host.router import Router
from tests.unit.lab.azure.functions_host.apps import http_app, index

SHOP = (
    ("get_order", "orders/{id}", ["GET"]),
    ("get_special", "orders/special", ["GET"]),
    ("post_order", "orders/{id}", ["POST"]),
    ("by_name", None, ["GET"]),
    ("any_method", "any", None),
    ("numbered", "numbers/{n:int}", ["GET"]),
    ("other_numbers", "numbers/{n}", ["GET"]),
)


def routed(method: str, path: str, prefix: str = "api") -> tuple[str, dict[str, str]] | None:
    found = Router(index(http_app(*SHOP)).http, prefix).match(method, normalize(path))
    return None if found is None else (found[0].name, found[1])


def test_a_catch_all_with_an_early_name_swallows_the_rest() -> None:
    router = Router(index(http_app(("a_all", "{*rest}", ["GET"]), ("b", "b", ["GET"]))).http, "api")
    found = router.match("GET", "/api/b")
    assert found is not None
    assert (found[0].name, found[1]) == ("a_all", {"rest": "b"})


@pytest.mark.parametrize(("prefix", "path"), [("", "/any"), ("shop/v1", "/shop/v1/any")])
def test_the_prefix_is_host_jsons(prefix: str, path: str) -> None:
    assert routed("GET", path, prefix) == ("any_method", {})


def test_names_are_compared_without_case() -> None:
    router = Router(index(http_app(("Zebra", "{x}", ["GET"]), ("ant", "{y}", ["GET"]))).http, "api")
    found = router.match("GET", "/api/1")
    assert found is not None
    assert found[0].name == "ant"
