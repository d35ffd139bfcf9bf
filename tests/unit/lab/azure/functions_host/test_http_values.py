"""How a request's parts reach the function, and a function's result the caller."""

import azure.functions as func
import pytest

from lab.azure.functions_host.http_frontend import header_values, query_values, response_headers


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ("", {}),
        ("a=1&b=2", {"a": "1", "b": "2"}),
        ("a=1&a=2", {"a": "1,2"}),
        ("a=1&A=2", {"a": "1,2"}),
        ("a=&b&c=3", {"c": "3"}),
        ("a=&a=2", {"a": ",2"}),
        ("a=x%20y+z%C3%A9", {"a": "x y zé"}),
    ],
)
def test_repeated_query_keys_are_joined_and_empty_values_dropped(query: str, values: dict[str, str]) -> None:
    assert query_values(query) == values


def test_header_names_are_lower_case_and_repeated_ones_joined() -> None:
    assert header_values([(b"X-A", b"1"), (b"x-a", b"2"), (b"Y", b"")]) == {"x-a": "1,2", "y": ""}


def test_a_response_keeps_its_headers_case_and_all_its_cookies() -> None:
    response = func.HttpResponse("x", headers={"X-Mixed-Case": "1", "Content-Length": "99"}, mimetype="text/html")
    response.headers.add("Set-Cookie", "a=1")
    response.headers.add("Set-Cookie", "b=2")
    assert response_headers(response) == [
        (b"Content-Type", b"text/html; charset=utf-8"),
        (b"X-Mixed-Case", b"1"),
        (b"Set-Cookie", b"a=1"),
        (b"Set-Cookie", b"b=2"),
    ]


def test_a_response_may_name_its_content_type_itself() -> None:
    response = func.HttpResponse("{}", headers={"content-type": "application/problem+json"})
    assert response_headers(response) == [(b"content-type", b"application/problem+json")]
