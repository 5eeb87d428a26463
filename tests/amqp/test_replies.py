"""The table of calls that wait for their reply."""

from itertools import islice

from rpcnode.amqp.replies import ReplyTable, unguessable_ids
from rpcnode.concurrency import Event


def test_ids_have_nothing_in_common():
    ids = list(islice(unguessable_ids(), 1000))

    assert len(set(ids)) == 1000
    assert {len(each) for each in ids} == {32}
    for place in range(0, 32, 8):
        assert len({each[place : place + 8] for each in ids}) > 990


def test_reply_goes_to_who_waits_for_it():
    table, one, two = ReplyTable(), Event(), Event()
    table.expect("1", one)
    table.expect("2", two)

    assert table.settle("2", "reply")

    assert two.result() == "reply"
    assert not one.is_set()
    assert len(table) == 1
    assert table.unexpected == 0


def test_reply_that_nobody_waits_for_is_counted():
    table, event = ReplyTable(), Event()
    table.expect("1", event)
    table.settle("1", "reply")

    assert not table.settle("1", "again")
    assert not table.settle(None, "nothing")
    assert not table.settle("unknown", "nothing")

    assert event.result() == "reply"
    assert table.unexpected == 3


def test_errors_reach_those_who_wait():
    table, events = ReplyTable(), [Event(), Event(), Event()]
    for number, event in enumerate(events):
        table.expect(str(number), event)
    table.forget("2")
    error, other = ValueError(), KeyError()

    table.fail("0", error)
    table.fail("0", other)
    table.fail_all(other)

    assert [event.is_set() for event in events] == [True, True, False]
    assert events[0]._error is error
    assert events[1]._error is other
    assert len(table) == 0
