"""Contents: what is put together from frames, in linear time."""

import gc
import tracemalloc
from time import process_time

import pytest
from amqp import spec

from rpcnode.amqp.content import Assembly, make_content
from tests.amqp.hand_fed import hand_fed
from tests.amqp.random_messages import frame

LARGE = 50_000_000  # bytes
FRAME = 131_064  # bytes of a body in one of RabbitMQ's frames
READ = 65_536


def header(size):
    return b"\0\x3c\0\0" + size.to_bytes(8, "big") + b"\0\0"


def test_body_is_joined_from_its_frames():
    assembly = Assembly(spec.Basic.GetOk, b"arguments")
    had_header = assembly.has_header

    finished = [
        assembly.add_header(header(7)),
        assembly.add_body(b"one"),
        assembly.add_body(b"four"),
    ]

    assert (had_header, assembly.has_header) == (False, True)
    assert finished == [False, False, True]
    assert assembly.content(lambda data: {"read": data}).body == b"onefour"
    assert assembly.content(lambda data: {"read": data}).properties == {"read": header(7)}


def test_content_without_a_body_is_whole_with_its_header():
    assembly = Assembly(spec.Basic.GetOk, b"")

    assert assembly.add_header(header(0))
    assert assembly.content(lambda _data: {}).body == b""


def test_properties_that_cannot_be_read_are_a_problem_of_their_message():
    content = make_content(lambda _data: {}["missing"], b"", b"body", {"delivery_tag": 7})

    assert (content.body, content.properties, content.delivery_tag) == (b"body", {}, 7)
    assert isinstance(content.problem, KeyError)


def stream(body):
    """Return the frames of a delivery with that body, as RabbitMQ cuts it."""
    arguments = b"\1t" + (1).to_bytes(8, "big") + b"\0\1x\1k"
    frames = [
        frame(1, 1, b"\0\x3c\0\x3c" + arguments),
        frame(2, 1, header(len(body))),
        *(frame(3, 1, body[at : at + FRAME]) for at in range(0, len(body), FRAME)),
    ]
    return b"".join(frames)


def pieces_of(data):
    return [data[at : at + READ] for at in range(0, len(data), READ)]


def read(data, fast_path):
    """Read a stream in pieces; return the body, and the seconds of this process."""
    received = []
    connection = hand_fed(1, fast_path=fast_path)
    connection.channels[1].callbacks["t"] = received.append
    connection.transport.reads = pieces_of(data)
    began = process_time()
    while connection.transport.reads:
        connection.drain_events()
    took = process_time() - began
    (content,) = received
    return content.body, took


def copy(data):
    """Copy a stream once, out of pieces; return the seconds of this process."""
    pieces = pieces_of(data)
    began = process_time()
    b"".join(pieces)
    return process_time() - began


@pytest.mark.parametrize("fast_path", [True, False], ids=["fast path", "py-amqp"])
def test_body_of_50_mb_takes_as_long_as_a_few_copies_of_it(fast_path):
    body = bytes(LARGE)
    data = stream(body)

    rounds = [(*read(data, fast_path), copy(data)) for _ in range(3)]

    assert rounds[0][0] == body
    # To copy all that came before with each frame would take 190 times as long as one copy.
    seconds, once = (min(each[index] for each in rounds) for index in (1, 2))
    assert seconds < 40 * once


def test_large_body_takes_its_size_twice_while_it_is_joined():
    data = stream(bytes(LARGE))
    gc.collect()
    tracemalloc.start()

    _body, _seconds = read(data, True)

    _size, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3.3 * LARGE  # the pieces that are read are the third
