"""docs/protocol.md says what the code does: its tables are read and compared."""

import re
from pathlib import Path

from wsprism.protocol import (
    JSON,
    MAX_DEPTH,
    SUBPROTOCOL_JSON,
    SUBPROTOCOL_MSGPACK,
    CloseCode,
    Envelope,
    ErrorCode,
    envelope,
    hot,
    may_reconnect,
    sysmsg,
)
from wsprism.protocol.fields import MAX_FLAGS, MAX_NAME_LENGTH, MAX_ROOM_LENGTH, MAX_SEQ

PAGE = (Path(__file__).parents[3] / "docs" / "protocol.md").read_text()


def table(first_heading: str) -> list[list[str]]:
    """The cells of the table whose first column has this heading, without backquotes."""
    found = re.search(rf"^\| {first_heading} \|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    assert found is not None, first_heading
    return [[cell.strip().strip("`") for cell in row.strip("|").split(" | ")] for row in found[1].splitlines()]


def column(first_heading: str) -> list[str]:
    return [row[0].strip("| `") for row in table(first_heading)]


def test_error_codes_are_all_there() -> None:
    assert column("code") == [code.value for code in ErrorCode]


def test_close_codes_say_whether_to_reconnect() -> None:
    listed = {int(row[0].strip("| ")): row[2].strip("| ") for row in table("close")}
    assert listed == {int(code): "yes" if may_reconnect(code) else "no" for code in CloseCode}


def test_envelope_fields_and_bounds() -> None:
    assert column("field") == list(Envelope.__struct_fields__)
    rules = {row[0].strip("| `"): row[2] for row in table("field")}
    assert f"1-{MAX_NAME_LENGTH} of" in rules["svc"]
    assert f"0 to {MAX_FLAGS}" in rules["flags"]
    assert f"0 to {MAX_SEQ}" in rules["seq"]
    assert f"1-{MAX_ROOM_LENGTH} characters" in rules["room"]
    assert f"at most {MAX_DEPTH} levels" in PAGE


def test_flags_of_both_lanes() -> None:
    for heading, module in (("flag", envelope), ("hot flag", hot)):
        for row in table(heading):
            assert getattr(module, row[0].strip("| ")) == int(row[1])
    assert f"at most {hot.MAX_SENDER_BYTES} bytes" in PAGE


def test_gateway_messages_are_all_there() -> None:
    builders = set(sysmsg.__all__) - {
        "VERSION",
        "Message",
        "publication",
        "room_history",
        "room_members",
        "room_presence",
        "room_presence_diff",
    }
    assert set(column("type")) == builders | {"gap"}


def test_subprotocols() -> None:
    assert column("subprotocol") == [SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK]


def test_the_pages_example_is_an_envelope() -> None:
    example = re.search(r'^    (\{.*"send".*\})$', PAGE, re.MULTILINE)
    assert example is not None
    assert isinstance(JSON.decode(example[1]), Envelope)
