"""Route templates, by the rules of "Routing in ASP.NET Core": what the recorded requests do not show."""

from __future__ import annotations

import pytest

from lab.azure.functions_host.route_template import RouteTemplate, RouteTemplateError


def match(template: str, path: str) -> dict[str, str] | None:
    return RouteTemplate.parse(template).match(path.split("/") if path else [])


@pytest.mark.parametrize(
    ("template", "path", "values"),
    [
        ("{name}.{kind?}", "a", {"name": "a"}),
        ("{name}.{kind?}", "a.", None),
        ("v{major}", "x1", None),
    ],
)
def test_a_path_gives_the_route_values_or_nothing(template: str, path: str, values: dict[str, str] | None) -> None:
    assert match(template, path) == values


@pytest.mark.parametrize(
    ("constraint", "fits", "fails"),
    [
        ("int", ["1", "-1", "+1", "2147483647"], ["x", "1.0", "2147483648", "1_0", "\u0661"]),
        ("double", ["1", "1.5", "-1e3", ".5", "-NaN"], ["x", "1.5.5", "5-"]),
        ("decimal", ["1.5", "5-", "1,000", str(2**96 - 1)], ["x", "1e3", "NaN", str(2**96)]),
        ("guid", ["d11c6086-5eae-484d-8493-33265f33c650", "D11C60865EAE484D849333265F33C650"], ["d11c6086", "x"]),
        (
            "datetime",
            [
                *("2026-11-23", "2026-11-23T10:00:00", "2026-01-02T03:04:05.1234567Z", "2026-01", "10:30", "1-2"),
                *("2026-01-02 10:30 PM", "02-Jan-2026", "Fri, 02 Jan 2026 03:04:05 GMT", "January 2 2026"),
            ],
            ["x", "2026-02-30", "20260102", "2026-01-02T25:00", "5", "T"],
        ),
        ("nonfile", ["a", "a."], ["a.txt"]),
        ("length(3)", ["abc"], ["ab", "abcd"]),
        (r"regex(^\d{{2}}$)", ["12"], ["1", "123"]),
        ("regex(^[ab](c|d)$)", ["AC"], ["e"]),
    ],
)
def test_a_constraint_decides_whether_a_value_fits(constraint: str, fits: list[str], fails: list[str]) -> None:
    template = f"x/{{id:{constraint}}}"
    assert [value for value in fits if match(template, f"x/{value}") is None] == []
    assert [value for value in fails if match(template, f"x/{value}") is not None] == []


def test_a_constraint_on_an_optional_value_is_asked_only_if_it_is_there() -> None:
    assert match("x/{id:int?}", "x") == {}
    assert match("x/{id:int?}", "x/y") is None


@pytest.mark.parametrize(
    "template",
    [
        "a//b", "a?b", "~x", "{", "a}", "{}", "{a", "{a}{b}", "{a}/{A}", "{*rest}/more", "{a:unknown}", "{a:int(1)}",
        "{a:length(x)}",
        "{a:length}", "{a:regex([)}", "{a:regex(x}", "v{a?}", "{a:}", "{a?b}", "{a=5?}",
        "{a:range(5,1)}", "{a:length(-1)}", "{a:min(x)}",
    ],
)  # fmt: skip
def test_a_malformed_template_is_an_error(template: str) -> None:
    with pytest.raises(RouteTemplateError):
        RouteTemplate.parse(template)
