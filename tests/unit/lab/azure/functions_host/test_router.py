"""Which function answers a method and a path: each rule measured on the real host."""

import pytest

from lab.azure.functions_host.request_path import normalize
from lab.azure.functions_host.router import Router

from .apps import http_app, index

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


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/api/orders/special", ("get_order", {"id": "special"})),  # the first name, not the most specific route
        ("POST", "/api/orders/1", ("post_order", {"id": "1"})),  # who does not take the method is passed over
        ("DELETE", "/api/orders/1", None),  # 404, never 405
        ("HEAD", "/api/orders/1", None),
        ("OPTIONS", "/api/orders/1", None),
        ("GET", "/api/by_name", ("by_name", {})),
        ("PATCH", "/api/any", ("any_method", {})),
        ("GET", "/api/orders/1/", ("get_order", {"id": "1"})),  # a trailing slash is ignored
        ("GET", "/api//orders/1", None),
        ("GET", "//api/orders/1", None),
        ("GET", "/api/orders/1//", None),
        ("GET", "/API/Orders/A", ("get_order", {"id": "A"})),
        ("GET", "/orders/1", None),
        ("GET", "/api", None),
        ("GET", "/", None),
        ("GET", "//", None),
        ("GET", "/api/orders/a%20b%C3%A9", ("get_order", {"id": "a bé"})),
        ("GET", "/api/orders/a%2Fb%2f", ("get_order", {"id": "a%2Fb%2f"})),  # %2F alone stays as it is
        ("GET", "/api/orders/a+b", ("get_order", {"id": "a+b"})),
        ("GET", "/api/orders/%FF", ("get_order", {"id": "%FF"})),
        ("GET", "/api/numbers/1", ("numbered", {"n": "1"})),
        ("GET", "/api/numbers/x", ("other_numbers", {"n": "x"})),  # a failed constraint passes on
    ],
)
def test_the_first_function_by_name_that_fits_answers(
    method: str, path: str, expected: tuple[str, dict[str, str]] | None
) -> None:
    assert routed(method, path) == expected


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
