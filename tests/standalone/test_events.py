"""Events from programs that nothing has patched."""

import threading
import time

import pytest

from rpcnode.exceptions import (
    BrokerRefused,
    BrokerUnavailable,
    ClientNotRunning,
    ConfigurationError,
    UndeliverableMessage,
    UnserializableValueError,
)
from rpcnode.standalone import loop
from rpcnode.standalone.events import event_dispatcher, get_event_exchange
from tests.hosting import wait_until
from tests.management_api import ManagementApi
from tests.standalone.native import run_native


def dispatch_in_every_way(uri):
    config = {"AMQP_URI": uri}
    dispatch = event_dispatcher(config)
    dispatch("orders", "placed", "plain")
    with event_dispatcher(config) as dispatch_again:
        dispatch_again("orders", "placed", "with")
    started = event_dispatcher(uri=uri).start()
    workers = [
        threading.Thread(target=started, args=("orders", "placed", number)) for number in range(5)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    started.stop()
    with pytest.raises(ClientNotRunning):
        started("orders", "placed", "too late")


def test_events_reach_their_handlers_however_they_are_dispatched(uri, shop):
    run_native(dispatch_in_every_way, uri)

    wait_until(lambda: len(shop.heard) == 7)
    assert sorted(map(str, shop.heard)) == ["0", "1", "2", "3", "4", "plain", "with"]


def see_every_error(uri):
    dispatch = event_dispatcher({"AMQP_URI": uri})
    with pytest.raises(UndeliverableMessage):
        dispatch("nobody", "listens", 1, mandatory=True)
    with pytest.raises(UnserializableValueError):
        dispatch("orders", "placed", object())
    with pytest.raises(BrokerUnavailable, match="was not sent"):
        dispatch("orders", "placed", 1, timeout=0)
    with pytest.raises(ConfigurationError, match="for services only"):
        dispatch("orders", "placed", 1, delay=5)
    with pytest.raises(ConfigurationError, match="no publisher option"):
        event_dispatcher({"AMQP_URI": uri}, nonsense=1)
    with pytest.raises(BrokerRefused, match="x-delayed|inequivalent|type"):
        dispatch("other", "kind", 1)
    dispatch("orders", "placed", "and it goes on")


def test_every_error_is_told_and_hurts_no_other_event(uri, shop, vhost_uri, management_api):
    vhost = vhost_uri.rpartition("/")[2]
    body = {"type": "fanout", "durable": True}
    management_api.request("PUT", f"exchanges/{vhost}/other.events", body)

    run_native(see_every_error, uri)

    wait_until(lambda: shop.heard == ["and it goes on"])


def wait_for_room(uri):
    took = []
    loop.MOST_WAITING = 5
    dispatch = event_dispatcher({"AMQP_URI": uri}).start(wait=False)

    def outlast():
        began = time.monotonic()
        with pytest.raises(BrokerUnavailable):
            dispatch("orders", "placed", timeout=0.5)
        took.append(time.monotonic() - began)

    workers = [threading.Thread(target=outlast) for _ in range(20)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    dispatch.stop()
    return len(took), max(took)


def test_events_that_find_no_room_fail_within_their_time(free_port):
    failed, slowest = run_native(wait_for_room, f"amqp://guest:guest@127.0.0.1:{free_port}//")

    assert failed == 20
    assert 0.5 <= slowest < 0.9  # the time is spent once, not for the room and again afterwards


def dispatch_to_an_exchange_that_goes(uri, api_uri, vhost):
    with event_dispatcher({"AMQP_URI": uri}) as dispatch:
        dispatch("nobody", "listens", 1)
        ManagementApi(api_uri).request("DELETE", f"exchanges/{vhost}/nobody.events")
        dispatch("nobody", "listens", 2)


def test_exchange_that_is_gone_is_declared_again(vhost_uri, rabbit_api_uri):
    run_native(
        dispatch_to_an_exchange_that_goes,
        vhost_uri,
        rabbit_api_uri,
        vhost_uri.rpartition("/")[2],
    )


def test_exchange_is_declared_as_the_configuration_says():
    exchange = get_event_exchange("orders", {"AUTO_DELETE_EVENT_EXCHANGES": True})

    assert (exchange.name, exchange.type) == ("orders.events", "topic")
    assert exchange.auto_delete
