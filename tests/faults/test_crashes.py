"""Messages that kill each process that begins with them."""

import pytest

from tests.cli.processes import eventually
from tests.hosting import hosted, take

LIMIT = 3
QUEUES = {"event": "evt-caller-happened--fragile.handle", "call": "rpc-fragile"}


@pytest.mark.parametrize("kind", ["event", "call"])
def test_deadly_message_ends_in_the_dead_queue_and_the_others_are_served(
    vhost_uri, start, book, kind
):
    def host():
        process = start(
            *("run", "--broker", vhost_uri, "-d", f"CRASH_LIMIT={LIMIT}", "tests.faults.fragile")
        )
        eventually(lambda: "services are up" in process.errors or process.process.poll())
        return process

    def send(number):
        if kind == "event":
            services.dispatch("happened", number)
        else:
            services.rpc.fragile.write.cast(number)

    with hosted({"AMQP_URI": vhost_uri}) as services:
        process = host()
        send(-1)
        for number in range(LIMIT):
            assert process.wait() == -9
            send(number)
            process = host()
        dead = take(services, f"{QUEUES[kind]}.dead")
        send(LIMIT)
        eventually(lambda: set(range(LIMIT + 1)) <= set(book.counts(kind)), "the others")

        process.process.terminate()
        assert process.wait() == 0
    assert dead.body == b"-1" if kind == "event" else b"[-1]" in dead.body
    assert dead.properties["application_headers"]["rpcnode-dead-reason"] == "crashed"
    assert book.counts(kind)[-1] == LIMIT
