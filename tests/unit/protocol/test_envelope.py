"""The codecs beyond the vectors: typed data, frames, wording of faults, and the parser's own guards."""

import time

import msgspec
import pytest

from wsprism.protocol import (
    JSON,
    MAX_DEPTH,
    MSGPACK,
    Codec,
    DataFault,
    Envelope,
    EnvelopeFault,
    ErrorCode,
    envelope,
    is_name,
    is_room_name,
)
from wsprism.protocol.faults import RULES, describe_envelope_error
from wsprism.protocol.msgpack_nesting import msgpack_before_nesting, msgpack_nests_too_deep
from wsprism.protocol.nesting import is_portable, json_nests_too_deep
from wsprism.protocol.places import JoinData


class Item(msgspec.Struct):
    count: int


class Order(msgspec.Struct):
    msg: str
    item: Item | None = None


CODECS: list[Codec] = [JSON, MSGPACK]
HEAD: dict[str, object] = {"v": 1, "svc": "chat", "type": "send"}


def fault_of(**fields: object) -> EnvelopeFault:
    faults = [codec.decode(codec.encode({**HEAD, **fields})) for codec in CODECS]
    assert faults[0] == faults[1]
    assert isinstance(faults[0], EnvelopeFault)
    return faults[0]


def read(codec: Codec, value: object) -> msgspec.Raw | None:
    envelope = codec.decode(codec.encode({**HEAD, "data": value}))
    assert isinstance(envelope, Envelope)
    return envelope.data


@pytest.mark.parametrize("codec", CODECS)
def test_data_is_read_as_the_type_a_service_declares(codec: Codec) -> None:
    for _ in range(2):
        assert codec.decode_data(read(codec, {"msg": "x", "item": {"count": 1}}), Order) == Order("x", Item(1))


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(
    ("value", "msg"),
    [
        ({}, "data.msg is missing; data takes {msg: string, [item]}"),
        ({"msg": 5}, "data.msg is not what this message takes, which is {msg: string, [item]}"),
        ({"msg": "x", "item": {}}, "data.item.count is missing; data takes {msg: string, [item]}"),
        (
            {"msg": "x", "item": {"count": "1"}},
            "data.item.count is not what this message takes, which is {msg: string, [item]}",
        ),
        ([], "data is not what this message takes, which is {msg: string, [item]}"),
        (None, "data is not what this message takes, which is {msg: string, [item]}"),
    ],
)
def test_data_of_another_shape_is_named_by_the_services_own_fields(codec: Codec, value: object, msg: str) -> None:
    assert codec.decode_data(read(codec, value), Order) == DataFault(msg)


@pytest.mark.parametrize("codec", CODECS)
def test_absent_data_is_none_unless_a_type_is_asked_for(codec: Codec) -> None:
    assert codec.decode_data(None) is None
    assert codec.decode_data(None, Order) == DataFault("data is missing")


def test_null_data_is_not_absent_data() -> None:
    raw = read(JSON, None)
    assert raw is not None
    assert bytes(raw) == b"null"


def test_frame_kind_follows_the_codec() -> None:
    assert (JSON.binary, MSGPACK.binary) == (False, True)
    assert (JSON.name, MSGPACK.name) == ("json", "msgpack")
    assert JSON.frame(b"{}") == b"\x81\x02{}"
    assert MSGPACK.frame(b"\x80") == b"\x82\x01\x80"


@pytest.mark.parametrize("field", ["v", "svc", "type", "flags", "seq", "room", "id", "trace"])
def test_fault_names_the_rule_of_its_field(field: str) -> None:
    assert fault_of(**{field: [1]}).msg == RULES[field]


def test_an_unknown_field_is_named_shortened_and_made_visible() -> None:
    assert fault_of(sevice=1).msg == "message has an unknown field: sevice"
    assert fault_of(**{"x" * 100: 1}).msg == "message has an unknown field: " + "x" * 64 + "…"
    assert fault_of(**{"a\x1bb": 1}).msg == "message has an unknown field: a?b"


def test_fault_never_repeats_what_the_client_sent() -> None:
    for fault in (fault_of(svc="se cret"), fault_of(room="secret\n"), fault_of(seq="secret")):
        assert "secret" not in fault.msg
        assert "`" not in fault.msg
        assert "$" not in fault.msg


@pytest.mark.parametrize("wording", ["Missing something - at `$.other`", "anything else"])
def test_parser_wording_that_is_not_known_gives_the_general_rule(wording: str) -> None:
    assert describe_envelope_error(wording) == "message must be an object with v, svc and type"


@pytest.mark.parametrize("codec", CODECS)
def test_message_that_is_no_object_is_told_so(codec: Codec) -> None:
    fault = codec.decode(codec.encode([1]))
    assert isinstance(fault, EnvelopeFault)
    assert fault.msg == "message must be an object with v, svc and type"


def message_with(codec: Codec, fields: dict[str, object], levels: int) -> bytes:
    """A message whose `data`, its last field, is that many arrays, one in the other."""
    whole = codec.encode({**HEAD, **fields, "data": None})
    if codec.name == "json":
        return whole[:-5] + b"[" * levels + b"]" * levels + b"}"
    return whole[:-1] + b"\x91" * levels + b"\xc0"


@pytest.mark.parametrize("levels", [MAX_DEPTH, 150, 900, 1_100, 9_000, 60_000])
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(("fields", "seq"), [({"seq": 7}, 7), ({}, None)])
def test_what_nests_too_deep_is_told_alike_however_deep(
    codec: Codec, levels: int, fields: dict[str, object], seq: int | None
) -> None:
    """The parser's own guard is the interpreter's stack, another one in each version: no answer may show it."""
    assert isinstance(codec.decode(message_with(codec, fields, MAX_DEPTH - 1)), Envelope)
    deep = message_with(codec, fields, levels)
    for payload in (deep, deep[:-1]):
        assert codec.decode(payload) == EnvelopeFault(ErrorCode.BAD_REQUEST, "message nests too deep", seq)


def test_every_kind_of_messagepack_value_is_passed_over_in_full() -> None:
    values = [1, -1, None, True, 2**7, 2**15, 2**31, 2**63, -(2**7), -(2**15), -(2**31), -(2**63), 0.5, b"\x91" * 99]
    texts = ["x" * size for size in (0, 31, 32, 255, 256, 65_536)]
    extensions = [msgspec.msgpack.Ext(5, b"\x91" * size) for size in (0, 1, 2, 4, 8, 16, 17, 256, 65_536)]
    whole = [values, [[0] * 16, [0] * 65_536], {"a": dict.fromkeys(map(str, range(20)), 0)}, texts, extensions, {}]
    packed = msgspec.msgpack.encode(whole)
    assert not msgpack_nests_too_deep(packed)
    assert not msgpack_nests_too_deep(b"\x91" * (MAX_DEPTH - 3) + packed)
    assert msgpack_nests_too_deep(b"\x91" * (MAX_DEPTH - 2) + packed)
    assert not msgpack_nests_too_deep(packed + b"\x91" * 100)


@pytest.mark.parametrize(
    ("packed", "fields"),
    [
        (b"", None),
        (b"\x91\x90", None),
        (b"\x83\xa1a\x01\xa1b\x90\xa1c\x01", {"a": 1}),
        (b"\x83\xa1a\x01\x90", {"a": 1}),
        (b"\x82\xa1a\x01\xa1b", {"a": 1}),
        (b"\x80", {}),
    ],
)
def test_the_plain_fields_before_what_nests(packed: bytes, fields: object) -> None:
    found = msgpack_before_nesting(packed)
    assert (found if found is None else msgspec.msgpack.decode(found)) == fields


def test_a_text_that_never_ends_is_counted_in_one_pass() -> None:
    begun = time.process_time()
    assert json_nests_too_deep("[" * 65 + '\\"' * 200_000)
    assert time.process_time() - begun < 1


def test_nonsense_before_what_nests_gives_no_seq() -> None:
    fault = JSON.decode('{"seq":1,"v":1.2.3,"data":' + "[" * 5000)
    assert fault == EnvelopeFault(ErrorCode.BAD_REQUEST, "message nests too deep", None)


def test_seq_of_a_message_too_deep_to_parse_is_read_when_it_stands_first() -> None:
    deep = "[" * 5000 + "]" * 5000
    for before, seq in (('"v":1,"seq":7,', 7), ('"v":1,"a":"x\\"{","seq":7 , ', 7), ('"seq":-1,', None), ("", None)):
        fault = JSON.decode("{" + before + '"data":' + deep + "}")
        assert isinstance(fault, EnvelopeFault)
        assert (fault.msg, fault.seq) == ("message nests too deep", seq)


def test_nonsense_before_what_nests_is_too_deep_all_the_same() -> None:
    fault = JSON.decode('{"a":1,"data":' + "[" * 5000 + '"')
    assert isinstance(fault, EnvelopeFault)
    assert fault.seq is None


def test_message_that_breaks_off_after_a_faulty_field_is_malformed() -> None:
    fault = JSON.decode('{"v":true,"svc":"chat"')
    assert isinstance(fault, EnvelopeFault)
    assert (fault.msg, fault.seq) == ("message is not well-formed", None)


@pytest.mark.parametrize("levels", [MAX_DEPTH, MAX_DEPTH + 1])
def test_json_depth_is_exact(levels: int) -> None:
    text = "[" * (levels // 2) + '{"a]}":' * (levels - levels // 2) + '"[{\\""' + "}" * (levels - levels // 2)
    assert json_nests_too_deep(text + "]" * (levels // 2)) is (levels > MAX_DEPTH)


def test_portable_depth_is_one_less_than_a_messages() -> None:
    assert is_portable(nested(MAX_DEPTH - 1))
    assert not is_portable(nested(MAX_DEPTH))
    assert not is_portable({"a": nested(MAX_DEPTH - 2, {})})


@pytest.mark.parametrize("value", [b"x", {1: 2}, {"a": {None: 1}}, [float("nan")], 2**64, -(2**63) - 1, (1,), {1}])
def test_what_one_encoding_alone_can_say_is_not_portable(value: object) -> None:
    assert not is_portable(value)


@pytest.mark.parametrize(
    ("text", "expected"), [("a", True), ("", False), ("a" * 65, False), ("a b", False), ("é", False)]
)
def test_names(text: str, expected: bool) -> None:
    assert is_name(text) is expected


@pytest.mark.parametrize(
    ("text", "expected"), [("é 1", True), ("", False), ("r" * 129, False), ("a\x9f", False), ("\u2028", True)]
)
def test_room_names(text: str, expected: bool) -> None:
    assert is_room_name(text) is expected


def nested(levels: int, inner: object = None) -> object:
    value: object = [] if inner is None else [inner]
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("text", "seq"),
    [
        ('{"v":1,"svc":"a","type":"b","seq":7}', 7),
        ('{"seq":7,"v":"wrong"}', 7),
        ('{"v":1,"seq":-1}', None),
        ('{"v":1,"seq":"7"}', None),
        ("{}", None),
        ("[]", None),
        ("{", None),
        ('{"data":' + "[" * 5000, None),
    ],
)
def test_the_seq_of_an_unheard_message_is_read_if_there_is_one(text: str, seq: int | None) -> None:
    assert JSON.read_seq(text) == seq
    try:
        packed = msgspec.msgpack.encode(msgspec.json.decode(text))
    except (msgspec.DecodeError, RecursionError):
        packed = b"\xc1"
    assert MSGPACK.read_seq(packed) == seq


def test_the_seq_of_an_unheard_message_that_nests_too_deep_is_read_when_it_stands_first() -> None:
    for levels in (MAX_DEPTH, 900, 9_000, 60_000):
        deep = "[" * levels + "]" * levels
        assert JSON.read_seq(f'{{"seq":7,"data":{deep}}}') == 7
        assert JSON.read_seq(f'{{"data":{deep},"seq":7}}') is None


def test_the_seq_is_none_where_the_encoding_is_wrong() -> None:
    assert MSGPACK.read_seq("{}") is None
    assert JSON.read_seq("\ud800") is None


@pytest.mark.parametrize("name", ["x", "b`c", "x`"])
def test_an_unknown_field_within_a_field_is_named_as_the_client_sent_it(name: str) -> None:
    sent = f'{{"since": {{"epoch": "e", "offset": 1, "{name}": 1}}}}'
    found = JSON.decode_data(msgspec.Raw(sent.encode()), JoinData)
    assert isinstance(found, DataFault)
    assert f"data.since has an unknown field: {name}; data takes" in found.msg


def test_names_that_a_client_invents_are_judged_the_same_and_not_all_remembered() -> None:
    for number in range(2 * envelope._MOST_NAMES):
        assert isinstance(JSON.decode(JSON.encode({**HEAD, "svc": f"s{number}", "type": f"t-{number}"})), Envelope)
        assert fault_of(svc=f"s {number}").msg == RULES["svc"]
        assert fault_of(type=f"t/{number}").msg == RULES["type"]
    assert len(envelope._names) <= envelope._MOST_NAMES
    assert isinstance(JSON.decode(JSON.encode({**HEAD, "svc": "never", "type": "before"})), Envelope)
