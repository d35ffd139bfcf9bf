"""How a request's parts reach the function, and a function's result the caller."""

import pytest

from lab.azure.functions_host.http_request import header_values, query_values


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ("", {}),
        ("a=1&b=2", {"a": "1", "b": "2"}),
        ("a=1&a=2", {"a": "1,2"}),
        ("a=1&A=2", {"a": "1,2"}),
        ("a=&b&c=3", {"c": "3"}),
        ("a=&a=2", {"a": "2"}),
        ("a=x%20y+z%C3%A9", {"a": "x y zé"}),
    ],
)
def test_repeated_query_keys_are_joined_and_empty_values_dropped(query: str, values: dict[str, str]) -> None:
    assert query_values(query) == values


def test_header_names_are_lower_case_and_repeated_ones_joined() -> None:
    assert header_values([(b"X-A", b"1"), (b"x-a", b"2"), (b"Y", b"")]) == {"x-a": "1,2", "y": ""}
