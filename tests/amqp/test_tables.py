"""Field tables: every type that RabbitMQ's clients send, and what is not remembered for ever."""

import struct
from datetime import datetime
from decimal import Decimal

import pytest
from amqp.exceptions import FrameSyntaxError
from amqp.serialization import _read_item

from rpcnode.amqp.tables import (
    ENCODED,
    MOST_REMEMBERED,
    UnusualError,
    decode_table,
    encode_table,
)


def sized(data):
    return struct.pack(">I", len(data)) + data


@pytest.mark.parametrize(
    ("encoded", "value"),
    [
        (b"S" + sized("é".encode()), "é"),
        (b"x" + sized(b"\xff\0"), b"\xff\0"),
        (b"b\xff", -1),
        (b"B\xff", 255),
        (b"U\xff\xfe", -2),
        (b"s\xff\xfe", -2),
        (b"u\xff\xfe", 65534),
        (b"I\xff\xff\xff\xfd", -3),
        (b"i\xff\xff\xff\xfd", 2**32 - 3),
        (b"l" + b"\xff" * 8, -1),
        (b"L" + b"\xff" * 8, -1),
        (b"f" + struct.pack(">f", 1.5), 1.5),
        (b"d" + struct.pack(">d", 1e300), 1e300),
        (b"D\2" + struct.pack(">i", -150), Decimal("-1.5")),
        (b"T" + struct.pack(">Q", 86400), datetime(1970, 1, 2)),
        (b"t\0", False),
        (b"t\2", True),
        (b"V", None),
        (b"A" + sized(b"S" + sized(b"a") + b"I\0\0\0\1" + b"V"), ["a", 1, None]),
        (b"F" + sized(b"\1kF" + sized(b"\1kt\1")), {"k": {"k": True}}),
    ],
)
@pytest.mark.parametrize("is_in_array", [False, True])
def test_value_of_each_type_is_decoded_as_py_amqp_does(encoded, value, is_in_array):
    if is_in_array:
        encoded, value = b"A" + sized(encoded), [value]
    data = sized(b"\4name" + encoded)

    table, end = decode_table(b"before" + data + b"behind", 6)

    assert (table, end) == ({"name": value}, 6 + len(data))
    assert repr(_read_item(b"F" + data, 0)[0]) == repr(table)


def test_every_letter_that_py_amqp_knows_is_known():
    for number in range(256):
        data = sized(b"\1a" + bytes([number])) + bytes(8)
        try:
            _read_item(b"F" + data, 0)
        except FrameSyntaxError:
            with pytest.raises(KeyError):
                decode_table(data, 0)
        else:
            assert repr(decode_table(data, 0)[0]) == repr(_read_item(b"F" + data, 0)[0])


@pytest.mark.parametrize(
    "table",
    [{"k": object()}, {1: "x"}, {"k" * 256: 1}, {"k": {"deep": b"x"}}, {"k": [(1, 2)]}, [1]],
)
def test_what_is_out_of_the_ordinary_is_left_to_py_amqp(table):
    with pytest.raises(UnusualError):
        encode_table(table)


def test_names_that_come_again_are_not_remembered_without_end():
    for number in range(2 * MOST_REMEMBERED):
        table = {f"name-{number}": number}
        assert decode_table(encode_table(table), 0)[0] == table

    assert len(ENCODED) <= MOST_REMEMBERED
