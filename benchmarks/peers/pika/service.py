"""The service of the measurements, on pika."""

import json

import pika

from benchmarks.peers.conversation import read_settings, say_ready
from benchmarks.peers.dispatching import Handling

JSON = "application/json"


def answer_calls(channel):
    """Answer calls with what they were given."""

    def echo(_channel, method, properties, body):
        value = json.loads(body)
        reply = pika.BasicProperties(
            correlation_id=properties.correlation_id,
            content_type=JSON,
            delivery_mode=properties.delivery_mode,
        )
        channel.basic_publish("", properties.reply_to, json.dumps(value).encode(), reply)
        channel.basic_ack(method.delivery_tag)

    channel.queue_declare("bench", durable=True)
    channel.basic_consume("bench", echo)


def handle_events(channel, handling):
    """Handle events."""

    def handle(_channel, method, _properties, body):
        handling.handle(json.loads(body))
        channel.basic_ack(method.delivery_tag)

    channel.exchange_declare("placed", "topic", durable=True)
    channel.queue_declare("placed-bench", durable=True)
    channel.queue_bind("placed-bench", "placed", "placed")
    channel.basic_consume("placed-bench", handle)


def main():
    """Serve until the harness ends it."""
    settings = read_settings()
    channel = pika.BlockingConnection(pika.URLParameters(settings["uri"])).channel()
    channel.basic_qos(prefetch_count=settings["workers"])
    if settings["job"] == "events":
        handle_events(channel, Handling(settings))
    else:
        answer_calls(channel)
    say_ready("pika")
    channel.start_consuming()


if __name__ == "__main__":
    main()
