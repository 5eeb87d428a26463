"""The client of the measurements, on pika: one thread, driven by callbacks."""

import itertools
import json
import threading
import time

import pika

from benchmarks.peers.calling import Load
from benchmarks.peers.conversation import payload, read_settings, stay
from benchmarks.peers.dispatching import Dispatching

JSON = "application/json"


class Caller:
    """Keeps calls in flight: a reply makes the next one."""

    def __init__(self, channel, settings):
        self.channel = channel
        self.settings = settings
        self.load = Load(settings)
        self.value = payload(settings["payload_size"])
        self.ids = itertools.count()
        self.begins = {}
        self.replies = channel.queue_declare("", exclusive=True).method.queue

    def call(self):
        """Send a request."""
        correlation_id = str(next(self.ids))
        self.begins[correlation_id] = time.perf_counter()
        properties = pika.BasicProperties(
            reply_to=self.replies, correlation_id=correlation_id, content_type=JSON
        )
        body = json.dumps(self.value).encode()
        self.channel.basic_publish("", "bench", body, properties)

    def take_reply(self, _channel, _method, properties, body):
        """Take a reply, and make the next call."""
        json.loads(body)
        self.load.record(time.perf_counter() - self.begins.pop(properties.correlation_id))
        self.call()

    def run(self):
        """Put the load on, and measure."""
        self.channel.basic_consume(self.replies, self.take_reply, auto_ack=True)
        threading.Thread(target=self.load.measure, daemon=True).start()
        for _ in range(self.settings["in_flight"]):
            self.call()
        self.channel.start_consuming()


def dispatch_events(channel, settings):
    """Dispatch for a while: the one dispatcher is the thread that has the connection."""
    dispatching = Dispatching(settings)
    channel.confirm_delivery()
    properties = pika.BasicProperties(content_type=JSON, delivery_mode=2)

    def dispatch(event):
        channel.basic_publish("placed", "placed", json.dumps(event).encode(), properties)

    dispatching.measure_here(dispatch)


def main():
    """Do the job."""
    settings = read_settings()
    channel = pika.BlockingConnection(pika.URLParameters(settings["uri"])).channel()
    if settings["job"] == "events":
        dispatch_events(channel, settings)
        stay()
    else:
        Caller(channel, settings).run()


if __name__ == "__main__":
    main()
