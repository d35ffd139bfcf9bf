"""What `enqueue` accepts before it sends anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.azure.enqueue import MAX_BODY, BadInput, make_messages, read_bodies


def test_bodies_come_from_the_arguments_and_the_lines_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "orders.jsonl"
    file.write_text('{"a": 1}\n\n{"b": 2}\n')
    assert read_bodies(["x"], str(file)) == [b"x", b'{"a": 1}', b'{"b": 2}']


def test_nothing_to_send_is_an_error() -> None:
    with pytest.raises(BadInput, match="Nothing to send"):
        read_bodies([], None)


def test_each_message_gets_an_id_of_its_own() -> None:
    messages = make_messages([b"x", b"x"], None)
    assert len({message.message_id for message in messages}) == 2


def test_a_body_over_the_limit_refuses_them_all() -> None:
    with pytest.raises(BadInput, match="Message 2 has 262145 bytes"):
        make_messages([b"x", b"y" * (MAX_BODY + 1)], None)


@pytest.mark.parametrize(("bodies", "message_id"), [([b"x", b"y"], "id"), ([b"x"], ""), ([b"x"], "i" * 129)])
def test_a_given_id_is_for_one_message_and_has_a_length(bodies: list[bytes], message_id: str) -> None:
    with pytest.raises(BadInput, match="--message-id"):
        make_messages(bodies, message_id)
