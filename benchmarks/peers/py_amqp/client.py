"""The client of the measurements, on py-amqp."""
# ruff: noqa: E402 (the patch comes first)

import eventlet

eventlet.monkey_patch()

import itertools
import json

from eventlet.event import Event

from benchmarks.peers.calling import Load, call_first
from benchmarks.peers.conversation import payload, read_settings, stay
from benchmarks.peers.dispatching import Dispatching
from benchmarks.peers.py_amqp.link import PERSISTENT, TRANSIENT, Link


class Caller:
    """Calls, and hands replies to those who wait for them."""

    def __init__(self, settings):
        self.link = Link(settings["uri"])
        self.mode = PERSISTENT if settings["persistent"] else TRANSIENT
        self.value = payload(settings["payload_size"])
        self.ids = itertools.count()
        self.waiting = {}
        channel = self.link.consuming
        self.replies = channel.queue_declare("", exclusive=True).queue
        channel.basic_consume(self.replies, callback=self.take_reply, no_ack=True)
        self.link.start()

    def take_reply(self, message):
        """Hand a reply over."""
        self.waiting.pop(message.properties["correlation_id"]).send(message.body)

    def call(self):
        """Return the reply."""
        correlation_id = str(next(self.ids))
        reply = self.waiting[correlation_id] = Event()
        self.link.publish(
            self.value,
            "bench",
            reply_to=self.replies,
            correlation_id=correlation_id,
            delivery_mode=self.mode,
        )
        return json.loads(reply.wait())


def rpc(settings):
    """Put the load on, and measure."""
    caller, load = Caller(settings), Load(settings)
    for _ in range(settings["in_flight"]):
        eventlet.spawn_n(load.call_repeatedly, caller.call)
    load.measure()


def first(settings):
    """Call a service that may still be starting."""
    call_first(Caller(settings).call)


def events(settings):
    """Dispatch for a while."""
    dispatching, dispatch = Dispatching(settings), dispatcher(settings)
    for _ in range(settings["in_flight"]):
        eventlet.spawn_n(dispatching.dispatch_repeatedly, dispatch)
    dispatching.measure(dispatch)


def event(settings):
    """Dispatch one event."""
    dispatching = Dispatching(settings)
    dispatcher(settings)(dispatching.event())
    dispatching.say_done()


def dispatcher(settings):
    """Return the function that dispatches an event."""
    link = Link(settings["uri"])
    link.start()
    return lambda event: link.publish(event, "placed", "placed", delivery_mode=PERSISTENT)


JOBS = {"rpc": rpc, "first": first, "events": events, "event": event}


def main():
    """Do the job."""
    settings = read_settings()
    JOBS[settings["job"]](settings)
    stay()


if __name__ == "__main__":
    main()
