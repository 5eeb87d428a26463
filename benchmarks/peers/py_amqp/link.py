"""A connection that many green threads share: one reads, all others only write."""

import itertools
import json
from urllib.parse import unquote, urlsplit

import amqp
import eventlet
from eventlet.event import Event

PERSISTENT, TRANSIENT = 2, 1


class Link:
    """A connection with one channel to publish on, which has confirms."""

    def __init__(self, uri):
        parts = urlsplit(uri)
        self.connection = amqp.Connection(
            host=f"{parts.hostname}:{parts.port}",
            userid=unquote(parts.username),
            password=unquote(parts.password),
            virtual_host=unquote(parts.path[1:]),
        )
        self.connection.connect()
        # With this capability on, each publish reads from the socket, in the publisher's green
        # thread: a second reader, which must not be.
        self.connection.client_properties["capabilities"] = {}
        self.consuming = self.connection.channel()
        self.publishing = self.connection.channel()
        self.publishing.confirm_select()
        self.publishing.events["basic_ack"].add(self._confirmed)
        self._tags = itertools.count(1)
        self._unconfirmed = {}

    def start(self):
        """Read from now on; what needs an answer of the broker must be done before."""
        eventlet.spawn_n(self._read)

    def _read(self):
        while True:
            self.connection.drain_events()

    def publish(self, value, routing_key, exchange="", **properties):
        """Publish as JSON; return when the broker has confirmed."""
        message = amqp.Message(json.dumps(value), content_type="application/json", **properties)
        done = self._unconfirmed[next(self._tags)] = Event()
        self.publishing.basic_publish(message, exchange, routing_key, mandatory=not exchange)
        done.wait()

    def _confirmed(self, delivery_tag, multiple):
        tags = [tag for tag in self._unconfirmed if tag <= delivery_tag] if multiple else ()
        for tag in tags or (delivery_tag,):
            self._unconfirmed.pop(tag).send()
