"""The measurement of the codec: it runs, and what it measures happens."""

import pytest

from benchmarks.micro import codec


@pytest.mark.parametrize("fast_path", [True, False], ids=["by hand", "py-amqp"])
@pytest.mark.parametrize("make", [codec.request, codec.reply, codec.large_reply])
def test_what_is_delivered_is_what_was_published(make, fast_path):
    connection = codec.connected(fast_path=fast_path)
    received = []
    messages = [make(1), make(2)]
    read = codec.delivering(connection, messages)
    connection.channels[1].callbacks[codec.CONSUMER] = received.append

    read()

    assert [one.body for one in received] == [one.body for one in messages]
    for one, message in zip(received, messages, strict=True):
        headers = one.properties.pop("application_headers", {})
        assert (one.properties, headers) == (message.properties, message.headers)


def test_both_ways_are_measured(monkeypatch, capsys):
    monkeypatch.setattr(codec, "ROUNDS", 2)
    monkeypatch.setattr(codec, "MESSAGES", 3)

    codec.main()

    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split()[-3:] == ["hand", "py-amqp", "ratio"]
    assert len(rows) == len(codec.CASES)
    for row in rows:
        by_hand, stock, ratio = map(float, row.split()[-3:])
        assert by_hand > 0
        assert stock > 0
        assert ratio > 0
