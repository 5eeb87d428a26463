"""A feed that goes on: `rpcnode run examples.http_feed --broker memory://`."""

from queue import Queue

from rpcnode.events import BROADCAST, EventDispatcher, event_handler
from rpcnode.extensions import DependencyProvider
from rpcnode.http import http


class Listeners(DependencyProvider):
    """Injects the queues of all who listen now."""

    def setup(self):
        self.queues = set()

    def get_dependency(self, worker_ctx):
        return self.queues


class Feed:
    name = "feed"
    listeners = Listeners()
    dispatch = EventDispatcher()

    @http("POST", "/news")
    def publish(self, request):
        self.dispatch("news", request.json)
        return 202, None

    @event_handler("feed", "news", handler_type=BROADCAST, reliable_delivery=False)
    def spread(self, news):
        for queue in self.listeners:
            queue.put(news)

    @http("GET", "/news", endless=True)
    def listen(self, request):
        queue = Queue()
        self.listeners.add(queue)
        try:
            yield {"type": "welcome"}
            while True:
                yield queue.get()
        finally:  # the client has gone
            self.listeners.discard(queue)
