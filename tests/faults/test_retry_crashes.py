"""A service that fails often and is killed again and again: nothing is lost, all is accounted for.

At full size: RPCNODE_TEST_RETRY_KILLS=20, and once more with RPCNODE_TEST_RETRY_QUEUES=quorum.
"""

import json
import os
import random
from collections import Counter

import pytest
from amqp.exceptions import NotFound

from rpcnode.concurrency import sleep
from rpcnode.extensions.connection import Messaging
from tests.faults.flaky import ATTEMPTS
from tests.hosting import hosted, wait_until

KILLS = int(os.environ.get("RPCNODE_TEST_RETRY_KILLS", "3"))
QUEUE_TYPE = os.environ.get("RPCNODE_TEST_RETRY_QUEUES", "classic")
BETWEEN = 20  # messages for each kill
OWNER = "evt-caller-happened--flaky.handle"
HOLD = f"rpcnode.hold.{OWNER}.{QUEUE_TYPE[0]}.300"


@pytest.mark.timeout(60 + 20 * KILLS)
def test_messages_of_a_service_that_is_killed_end_as_success_or_dead_with_a_reason(
    vhost_uri, start, environ, tmp_path
):
    ledger = tmp_path / "ledger"
    environ["LEDGER"] = str(ledger)
    numbers = iter(range(10**6))
    with hosted({"AMQP_URI": vhost_uri}) as services:
        host(start, vhost_uri).kill()  # there is a queue for what is dispatched
        for _ in range(KILLS):
            service = host(start, vhost_uri)
            before = len(lines(ledger))
            for _ in range(BETWEEN):
                services.dispatch("happened", next(numbers))
            wait_until(lambda: len(lines(ledger)) >= before + BETWEEN // 2)  # noqa: B023 (at once)
            sleep(random.uniform(0, 0.3))  # kills come when they want
            service.kill()
        last = host(start, vhost_uri)
        sent = set(range(KILLS * BETWEEN))
        dead = {}
        wait_until(lambda: is_over(services, ledger, dead, sent), seconds=60)
        last.process.terminate()
        assert last.wait() == 0
        dead |= take_dead(services)

        assert (depth(services, OWNER), depth(services, HOLD)) == (0, 0)
    assert {headers["rpcnode-dead-reason"] for headers in dead.values()} <= {"exhausted"}
    assert {headers["rpcnode-attempts"] for headers in dead.values()} <= {ATTEMPTS}
    assert repeated_without_a_mark(ledger) == []
    print(summary(ledger, dead))


def host(start, uri):
    process = start(
        "run", "--broker", uri, "--define", f"QUEUE_TYPE={QUEUE_TYPE}", "tests.faults.flaky"
    )
    process.wait_for("services are up")
    return process


def lines(ledger, kind="begun"):
    """Return number, attempt and mark of each run that has begun, or is done."""
    if not ledger.exists():
        return []
    split = [line.split() for line in ledger.read_text().splitlines()]
    return [tuple(map(int, rest)) for what, *rest in split if what == kind]


def is_over(services, ledger, dead, sent):
    dead |= take_dead(services)
    done = {number for number, _attempt, _mark in lines(ledger, "done")}
    waiting = (depth(services, OWNER), depth(services, HOLD))
    return done | set(dead) == sent and waiting == (0, 0)


def take_dead(services):
    """Take what is in the dead queue; return the headers by number."""
    channel = services.extension(Messaging).connection.consuming.channel()
    dead = {}
    try:
        while (message := channel.basic_get(f"{OWNER}.dead")) is not None:
            channel.basic_ack(message.delivery_tag)
            dead[json.loads(message.body)] = message.properties["application_headers"]
    except NotFound:
        return dead
    channel.close()
    return dead


def depth(services, queue):
    channel = services.extension(Messaging).connection.consuming.channel()
    try:
        return channel.queue_declare(queue, passive=True).message_count
    except NotFound:
        return 0
    finally:
        channel.close()


def repeated_without_a_mark(ledger):
    """Return attempts at a message that were begun twice, and not marked the second time."""
    unmarked = Counter(
        (number, attempt) for number, attempt, is_marked in lines(ledger) if not is_marked
    )
    return [which for which, count in unmarked.items() if count > 1]


def summary(ledger, dead):
    begun, done = lines(ledger), lines(ledger, "done")
    marked = sum(mark for _number, _attempt, mark in begun)
    done_twice = sum(count - 1 for count in Counter(number for number, _, _ in done).values())
    return (
        f"{KILLS} kills, {QUEUE_TYPE}: {len(begun)} runs, {marked} of them marked as redelivered, "
        f"{len({number for number, _, _ in done})} messages done ({done_twice} of them again), "
        f"{len(dead)} dead"
    )
