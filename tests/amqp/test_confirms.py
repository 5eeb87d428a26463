"""The table of unconfirmed publishes: every entry is settled once, with its own outcome."""

import logging

from rpcnode.amqp.confirms import ConfirmTable
from rpcnode.amqp.message import Outgoing
from rpcnode.exceptions import ConnectionLost, PublishRejected, UndeliverableMessage


def fill(table, *ids, mandatory=True):
    """Enter messages; return the outcomes, as they come: (id, error)."""
    outcomes = []
    for each in ids:
        message = Outgoing("x", "k", b"", {"message_id": each}, {}, mandatory)
        table.add(message, lambda error, each=each: outcomes.append((each, error)))
    return outcomes


def test_ack_settles_the_publish_with_its_number():
    table = ConfirmTable()
    outcomes = fill(table, "a", "b", "c")

    table.settle(2, False)

    assert outcomes == [("b", None)]
    assert len(table) == 2


def test_ack_of_multiple_settles_all_up_to_its_number_in_order():
    table = ConfirmTable()
    outcomes = fill(table, "a", "b", "c", "d")
    table.settle(2, False)

    table.settle(3, True)

    assert outcomes == [("b", None), ("a", None), ("c", None)]
    assert len(table) == 1


def test_ack_of_multiple_zero_settles_all():
    table = ConfirmTable()
    outcomes = fill(table, "a", "b")

    table.settle(0, True)

    assert outcomes == [("a", None), ("b", None)]


def test_acks_in_any_order_make_a_later_ack_of_multiple_no_slower():
    class Numbers(dict):
        looked_for = 0

        def pop(self, *args):
            self.looked_for += 1
            return super().pop(*args)

    table = ConfirmTable()
    outcomes = fill(table, *map(str, range(1003)))
    for tag in range(1, 1001, 2):
        table.settle(tag + 1, False)
        table.settle(tag, False)
    numbers = table._pending = Numbers(table._pending)

    table.settle(1003, True)

    assert numbers.looked_for == 3
    assert [each for each, _error in outcomes[-3:]] == ["1000", "1001", "1002"]
    assert len(outcomes) == 1003


def test_nack_settles_with_its_error():
    table = ConfirmTable()
    outcomes = fill(table, "a", "b")
    error = PublishRejected("full")

    table.settle(2, True, error)

    assert outcomes == [("a", error), ("b", error)]


def test_last_ones_can_be_settled_alone():
    table = ConfirmTable()
    outcomes = fill(table, "a", "b", "c")
    table.settle(3, False)
    error = ConnectionLost("unsent")

    table.settle_last(2, error)

    assert outcomes == [("c", None), ("b", error)]
    assert len(table) == 1


def test_return_settles_at_once_and_the_ack_that_follows_changes_nothing():
    table = ConfirmTable()
    outcomes = fill(table, "a", "b")
    error = UndeliverableMessage("nobody")

    table.settle_returned("b", error)
    table.settle(2, False)

    assert outcomes == [("b", error)]
    assert len(table) == 1


def test_return_of_an_id_that_was_used_twice_settles_the_older_publish():
    table = ConfirmTable()
    outcomes = fill(table, "same", "same")
    error = UndeliverableMessage("nobody")

    table.settle_returned("same", error)
    table.settle(1, False)
    table.settle(2, False)

    assert outcomes == [("same", error), ("same", None)]


def test_return_settles_no_publish_that_was_not_mandatory():
    table = ConfirmTable()
    optional = fill(table, "same", mandatory=False)
    mandatory = fill(table, "same")
    error = UndeliverableMessage("nobody")

    table.settle_returned("same", error)

    assert (optional, mandatory) == ([], [("same", error)])


def test_unknown_numbers_and_ids_are_ignored():
    table = ConfirmTable()
    outcomes = fill(table, "a")

    table.settle(9, False)
    table.settle_returned("z", UndeliverableMessage("nobody"))

    assert outcomes == []
    assert len(table) == 1


def test_loss_of_the_channel_settles_each_with_an_error_of_its_own():
    table = ConfirmTable()
    outcomes = fill(table, "a", "b")

    table.settle_all(lambda message: ConnectionLost(f"lost {message.id}"))

    assert [(each, str(error)) for each, error in outcomes] == [("a", "lost a"), ("b", "lost b")]
    assert len(table) == 0


def test_publish_during_the_loss_is_not_settled_by_it():
    table = ConfirmTable()
    added = []
    message = Outgoing("x", "k", b"", {"message_id": "a"})
    table.add(message, lambda _error: added.extend(fill(table, "again")) or added.append("called"))

    table.settle_all(lambda _message: ConnectionLost("lost"))

    assert added == ["called"]
    assert len(table) == 1


def test_callback_that_fails_is_logged_and_disturbs_no_other(caplog):
    table = ConfirmTable()
    table.add(Outgoing("x", "k", b"", {"message_id": "a"}), lambda _error: 1 / 0)
    outcomes = fill(table, "b")

    with caplog.at_level(logging.ERROR):
        table.settle(2, True)

    assert outcomes == [("b", None)]
    assert "ZeroDivisionError" in caplog.text
