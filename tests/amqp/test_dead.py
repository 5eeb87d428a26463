"""Copies for dead queues."""

import pytest

from rpcnode.amqp.copies import cut, cut_front, origin_of
from rpcnode.amqp.dead import Death, dead_copy, without_foreign_headers
from rpcnode.amqp.entities import dead_queue


class Delivery:
    """What a dead copy needs to know of a delivery."""

    def __init__(self, properties=None, headers=None, exchange="shop.events", routing_key="placed"):
        self.body = b"body"
        self.properties = {"application_headers": headers, **(properties or {})}
        self.headers = headers or {}
        self.exchange, self.routing_key = exchange, routing_key
        self.queue, self.tag = "q", 7
        self.published = self.properties.get("timestamp")


def copy_of(error=None, **options):
    error = error or ValueError("boom")
    return dead_copy(Delivery(**options), "q.dead", Death("exhausted", error, "mailer.send"))


def test_copy_keeps_the_message_and_tells_why_it_is_dead():
    copy = copy_of(
        properties={
            "message_id": "m",
            "correlation_id": "c",
            "expiration": "5",
            "delivery_mode": 1,
        },
        headers={"mine": "x", "number": 3},
    )

    assert (copy.exchange, copy.routing_key, copy.body) == ("", "q.dead", b"body")
    assert copy.mandatory
    assert copy.properties == {"message_id": "m", "correlation_id": "c", "delivery_mode": 2}
    assert copy.headers["mine"] == "x"
    assert copy.headers["number"] == 3
    assert copy.headers["rpcnode-dead-reason"] == "exhausted"
    assert copy.headers["rpcnode-origin-exchange"] == "shop.events"
    assert copy.headers["rpcnode-origin-key"] == "placed"
    assert copy.headers["rpcnode-origin-expiration"] == "5"
    assert copy.headers["rpcnode-handler"] == "mailer.send"


def test_copy_always_has_a_message_id():
    assert copy_of().id.startswith("dead-q-7-")


@pytest.mark.parametrize(
    "header", ["x-death", "x-first-death-queue", "x-last-death-reason", "CC", "BCC"]
)
def test_notes_of_the_broker_are_stripped(header):
    assert header not in copy_of(headers={header: "x", "kept": 1}).headers


@pytest.mark.parametrize("header", ["CCY", "BCCX", "x-death-ray", "cc"])
def test_headers_that_only_look_like_the_broker_s_are_kept(header):
    assert header in copy_of(headers={header: "x"}).headers


@pytest.mark.parametrize("name", ["user_id", "cluster_id"])
def test_properties_that_the_broker_would_refuse_are_left_out(name):
    assert name not in copy_of(properties={name: "x"}).properties


def test_long_texts_are_cut():
    copy = copy_of(ValueError("ü" * 5000), headers={"long": "x" * 5000, "bytes": b"x" * 5000})

    assert copy.headers["long"] == "x" * 2048
    assert len(copy.headers["bytes"]) == 5000
    assert copy.headers["rpcnode-exc-message"] == "ü" * 1024
    assert len(copy.headers["rpcnode-traceback"].encode()) <= 8192
    assert cut("aü", 2) == "a"
    assert cut_front("üa", 2) == "a"


def test_error_without_a_text_is_still_told():
    class Broken(Exception):
        def __str__(self):
            raise ValueError

    assert "__str__ of Broken failed" in copy_of(Broken()).headers["rpcnode-exc-message"]


def test_copy_can_do_without_foreign_headers():
    copy = without_foreign_headers(copy_of(headers={"mine": "x"}))

    assert "mine" not in copy.headers
    assert copy.headers["rpcnode-headers-dropped"] is True
    assert copy.headers["rpcnode-dead-reason"] == "exhausted"


def test_origin_is_believed_only_when_it_came_through_the_default_exchange():
    headers = {"rpcnode-origin-exchange": "e", "rpcnode-origin-key": "k"}

    assert origin_of(Delivery(headers=headers, exchange="", routing_key="q")) == ("e", "k")
    assert origin_of(Delivery(headers=headers)) == ("shop.events", "placed")
    assert origin_of(Delivery(exchange="", routing_key="q")) == ("", "q")


def test_dead_queue_is_durable_and_refuses_what_does_not_fit():
    queue = dead_queue("q.dead", 5)

    assert queue.durable
    assert queue.queue_arguments == {"x-max-length": 5, "x-overflow": "reject-publish"}


def test_headers_that_only_look_like_ours_are_dropped_with_the_others():
    foreign = {f"rpcnode-junk-{number}": "x" * 1000 for number in range(200)}
    copy = copy_of(headers={**foreign, "rpcnode-replayed": {"large": "x" * 200_000}})

    small = without_foreign_headers(copy)

    assert set(small.headers) - {"rpcnode-headers-dropped"} <= set(copy_of().headers)
    assert small.headers["rpcnode-dead-reason"] == "exhausted"
