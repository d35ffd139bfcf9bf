"""What becomes of a returned str, by the host's published sources: HttpBinding.cs, RawScriptResult.cs and Json.NET."""

from __future__ import annotations

import json

import pytest
from azure.functions.meta import Datum

from lab.azure.functions_host.http_response import BadResponse, to_response

LIST = "System.Collections.Generic.List`1[System.Object]"


@pytest.mark.parametrize(
    ("returned", "status", "body"),
    [
        (json.dumps("\U0001f600"), 200, "\U0001f600"),
        (r'"\ud800"', 200, "\ufffd"),
        ("010", 200, "8"),
        ("08", 200, "08"),
        ("+5", 200, "+5"),
        ("0x1F", 200, "31"),
        ("-0x1F", 200, "-0x1F"),
        ("12e3", 200, "12000"),
        ("2026-11-27", 200, "2026-11-27"),
        ("[" * 64 + "]" * 64, 200, None),
        ("[" * 65 + "]" * 65, 200, "[" * 65 + "]" * 65),
        ('{"status": 201}', 200, '{\n  "status": 201\n}'),
        ('{"body": {"a": [1, {"b": null}], "c": 1.0}}', 200, '{"a":[1,{"b":null}],"c":1.0}'),
        ('{"Body": [1], "STATUS": "201"}', 201, LIST),
        ('{"body": null, "statusCode": 404}', 404, ""),
        ('{"body": true, "status": 201.5}', 200, "True"),
    ],
)
def test_a_returned_text_that_is_json_is_written_again(returned: str, status: int, body: str | None) -> None:
    response = to_response(Datum(returned, "string"))
    assert response.status == status
    assert body is None or response.body.decode() == body


def test_of_header_names_that_differ_in_case_the_first_counts_but_for_the_content_type() -> None:
    told = {"X-A": 1, "x-a": 2, "content-type": "a/b", "Content-Type": "c/d"}
    response = to_response(Datum(json.dumps({"body": "", "headers": told}), "string"))
    assert sorted(response.headers) == [("Content-Type", "c/d"), ("X-A", "1")]


def test_a_header_that_is_null_is_no_response() -> None:
    with pytest.raises(BadResponse, match="null"):
        to_response(Datum('{"body": "", "headers": {"X-A": null}}', "string"))
