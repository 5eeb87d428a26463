"""Where messages wait for their next attempt, on the embedded broker and on RabbitMQ."""

import pytest

from rpcnode.events import BROADCAST, EventHandler
from rpcnode.exceptions import ConnectionLost
from rpcnode.extensions import holding
from rpcnode.extensions.connection import Messaging
from rpcnode.retry import Fixed, Retry
from tests.extensions.retrying import (
    DEAD,
    OWNER,
    SOON,
    SOURCE,
    depth,
    failing,
    headers_of,
    make_service,
    on,
)
from tests.hosting import hold_publishing, hosted, take, wait_until


def test_broadcast_is_tried_again_by_the_instance_that_failed(config):
    first, second = [], []
    broadcast = {"handler_type": BROADCAST, "reliable_delivery": False, "retry": SOON}
    services = [
        make_service(first, failing(times=2), handler=on(**broadcast)),
        make_service(second, failing(times=0), "other", handler=on(**broadcast)),
    ]
    with hosted(config, *services) as hosting:
        hosting.dispatch("placed", 1)
        wait_until(lambda: len(first) == 3)

    assert [run.info.attempt for run in first] == [1, 2, 3]
    assert first[2].at - first[0].at >= 0.2
    assert first[2].message.routing_key == "placed"
    assert first[2].message.exchange == "caller.events"
    assert len(second) == 1


def test_broadcast_that_is_given_up_is_dead(config):
    runs = []
    broadcast = {"handler_type": BROADCAST, "reliable_delivery": False, "retry": SOON}
    with hosted(config, make_service(runs, failing(), handler=on(**broadcast))) as services:
        services.dispatch("placed", 1)
        dead = headers_of(take(services, DEAD))

    assert dead["rpcnode-attempts"] == 3
    assert dead["rpcnode-origin-key"] == "placed"
    assert len(runs) == 3


def test_broadcast_that_waits_when_the_service_stops_is_dead(config):
    runs = []
    broadcast = {
        "handler_type": BROADCAST,
        "reliable_delivery": False,
        "retry": Retry(3, Fixed(60)),
    }
    with hosted(config) as services:
        with hosted(config, make_service(runs, failing(), handler=on(**broadcast))):
            services.dispatch("placed", 1)
            wait_until(lambda: runs)
        dead = headers_of(take(services, DEAD))

    assert dead["rpcnode-attempts"] == 1
    assert dead["rpcnode-exc-message"] == "disk"


def test_broadcasts_that_wait_do_not_keep_others_from_coming(config):
    runs = []
    broadcast = {
        "handler_type": BROADCAST,
        "reliable_delivery": False,
        "retry": Retry(3, Fixed(60)),
    }
    service = make_service(runs, failing(), handler=on(**broadcast))
    with hosted({**config, "MAX_WORKERS": 1}, service) as services:
        for number in range(5):
            services.dispatch("placed", number)
        wait_until(lambda: len(runs) == 5)


def test_process_holds_so_many_broadcasts_and_no_more(config, monkeypatch):
    monkeypatch.setattr(holding, "MOST_HERE", 2)
    runs = []
    broadcast = {
        "handler_type": BROADCAST,
        "reliable_delivery": False,
        "retry": Retry(3, Fixed(60)),
    }
    with hosted(config, make_service(runs, failing(), handler=on(**broadcast))) as services:
        for number in range(3):
            services.dispatch("placed", number)
        dead = take(services, DEAD)

        assert headers_of(dead)["rpcnode-attempts"] == 1
        assert depth(services, DEAD) == 0


def test_killed_service_holds_nothing_any_more(config):
    runs = []
    broadcast = {
        "handler_type": BROADCAST,
        "reliable_delivery": False,
        "retry": Retry(3, Fixed(0.3)),
    }
    with hosted(config) as services:
        with hosted(config, make_service(runs, failing(), handler=on(**broadcast))) as serving:
            services.dispatch("placed", 1)
            wait_until(lambda: runs)
            serving.container("service").kill()
        with pytest.raises(AssertionError, match="did not happen"):
            wait_until(lambda: len(runs) > 1, 0.6)

        assert depth(services, DEAD) is None


def test_reliable_broadcast_waits_in_the_broker(config):
    class OwnHandler(EventHandler):
        broadcast_identifier = "instance"

    runs = []
    handler = OwnHandler.decorator(
        SOURCE, "placed", handler_type=BROADCAST, reliable_delivery=True, retry=SOON
    )
    with hosted(config, make_service(runs, failing(times=1), handler=handler)) as services:
        services.dispatch("placed", 1)
        wait_until(lambda: len(runs) == 2)

        assert depth(services, f"rpcnode.hold.{OWNER}-instance.c.100") == 0


def test_message_goes_back_to_its_queue_when_its_copy_is_not_confirmed_in_time(config):
    runs = []
    service = make_service(runs, failing(times=2), handler=on(retry=SOON))
    with (
        hosted(config) as services,
        hosted({**config, "PUBLISH_TIMEOUT": 0.3}, service) as serving,
    ):
        go_on = hold_publishing(serving, "service")
        services.dispatch("placed", 1)
        copies = serving.extension(Messaging, "service").copies
        wait_until(lambda: copies.pending)
        wait_until(lambda: not copies.pending)
        go_on()
        wait_until(lambda: len(runs) == 3)

    assert [run.info.attempt for run in runs] == [1, 1, 2]
    assert [run.message.redelivered for run in runs] == [False, True, True]


def test_copy_whose_outcome_is_unknown_is_sent_again_with_a_mark(config):
    runs = []
    service = make_service(runs, failing(times=1), handler=on(retry=SOON))
    with hosted(config, service) as services:
        publisher = services.extension(Messaging, "service").publisher("copies")

        def lose_the_confirm(message, timeout):
            del publisher.publish  # this one time, in the place of the method
            publisher.publish(message, timeout)
            raise ConnectionLost("the confirm was lost")

        publisher.publish = lose_the_confirm
        services.dispatch("placed", 1)
        wait_until(lambda: len(runs) == 3)

    assert [run.info.attempt for run in runs] == [1, 2, 2]
    assert sorted(run.message.redelivered for run in runs) == [False, False, True]
