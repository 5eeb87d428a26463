"""What nameko-amqp-retry was for: another attempt later, and an end to attempts."""

import pytest
from kombu import Exchange, Queue

from rpcnode.events import EventDispatcher, event_handler
from rpcnode.messaging import Publisher, consume
from rpcnode.retry import Retry, RetryLater
from rpcnode.rpc import rpc
from rpcnode.testing.services import entrypoint_hook
from tests.hosting import hosted, take, wait_until

TASKS = Queue("tasks", exchange=Exchange("work"), routing_key="task")


class Office:
    name = "office"
    dispatch = EventDispatcher()
    publish = Publisher(TASKS.exchange, declare=[TASKS])

    @rpc
    def send(self, letter):
        self.dispatch("sent", letter)

    @rpc
    def hand_over(self, task):
        self.publish(task, routing_key="task")


def postman(failures):
    """Make a service whose first deliveries fail; each attempt is noted."""

    class Postman:
        name = "postman"
        attempts: list = []

        def deliver(self, letter, error):
            self.attempts.append(letter)
            if len(self.attempts) <= failures:
                raise error

        @event_handler("office", "sent", retry=Retry(3, delay=[0.01, 0.02], on=(OSError,)))
        def deliver_letter(self, letter):
            self.deliver(letter, OSError("nobody at home"))

        @consume(TASKS)
        def do_task(self, task):
            self.deliver(task, RetryLater(delay=0.01))

    return Postman


@pytest.mark.parametrize(("method", "what"), [("send", "letter"), ("hand_over", "task")])
def test_failing_handler_gets_another_attempt_later(runner_factory, memory_config, method, what):
    service = postman(failures=2)
    runner = runner_factory(memory_config, Office, service)
    runner.start()

    with entrypoint_hook(runner.service_map["office"], method) as send:
        send(what)

    wait_until(lambda: len(service.attempts) == 3)
    assert service.attempts == [what] * 3


def test_message_whose_attempts_are_used_up_is_kept_for_somebody_to_look_at(memory_config):
    service = postman(failures=99)

    with hosted(memory_config, Office, service) as services:
        services.rpc.office.send("letter")
        message = take(services, "evt-office-sent--postman.deliver_letter.dead")

    assert service.attempts == ["letter"] * 3
    assert message.headers["rpcnode-dead-reason"] == "exhausted"
    assert message.headers["rpcnode-exc-message"] == "nobody at home"
