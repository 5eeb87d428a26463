"""Services as a team wrote them for Nameko 2: a stock, its counter, and who watches both."""

import json
import logging

from kombu import Exchange, Queue
from nameko.constants import LANGUAGE_CONTEXT_KEY
from nameko.contextdata import Language
from nameko.dependency_providers import Config
from nameko.events import BROADCAST, SINGLETON, EventDispatcher, event_handler
from nameko.exceptions import deserialize_to_instance, safe_for_serialization
from nameko.extensions import DependencyProvider, Entrypoint, ProviderCollector, SharedExtension
from nameko.log_helpers import make_timing_logger
from nameko.messaging import Publisher, consume
from nameko.rpc import RpcProxy, rpc
from nameko.timer import timer
from nameko.utils import get_redacted_args
from nameko.utils.retry import retry
from nameko.web.handlers import HttpRequestHandler, http
from werkzeug.wrappers import Response

_log = logging.getLogger(__name__)
log_time = make_timing_logger(_log)

labels = Exchange("labels", type="direct")
label_queue = Queue("labels", exchange=labels, routing_key="labels")


@deserialize_to_instance
class OutOfStock(Exception):
    """Raised when there is not enough of something."""


class Shelves(DependencyProvider):
    """Injects the goods of the configuration, the same for all workers."""

    def __init__(self, key="SHELVES"):
        self.key = key

    def setup(self):
        self.goods = dict(self.container.config[self.key])

    def get_dependency(self, worker_ctx):
        return self.goods


class Journal(DependencyProvider):
    """Notes how each worker ended, and for whom it worked."""

    def __init__(self):
        self.entries = []

    def get_dependency(self, worker_ctx):
        def note(text):
            self.entries.append((worker_ctx.call_id, text))

        return note

    def worker_result(self, worker_ctx, result=None, exc_info=None):
        method = worker_ctx.entrypoint.method_name
        outcome = result if exc_info is None else exc_info[0].__name__
        arguments = get_redacted_args(worker_ctx.entrypoint, *worker_ctx.args, **worker_ctx.kwargs)
        self.entries.append((method, safe_for_serialization(arguments), outcome))

    def worker_teardown(self, worker_ctx):
        self.entries.append((worker_ctx.service_name, "torn down"))


class Ticker(ProviderCollector, SharedExtension):
    """Hands what it is told to all who registered."""

    def tell(self, word):
        for provider in list(self._providers):
            provider.handle(word)


class OnWord(Entrypoint):
    """Fires a method when its container's ticker is told a word."""

    ticker = Ticker()

    def __init__(self, word, **kwargs):
        self.word = word
        self.results = []
        super().__init__(**kwargs)

    def setup(self):
        self.ticker.register_provider(self)

    def stop(self):
        self.ticker.unregister_provider(self)
        super().stop()

    def handle(self, word):
        if word == self.word:
            self.container.spawn_managed_thread(self.run, identifier="on-word")

    def run(self):
        self.check_signature((self.word,), {})
        self.container.spawn_worker(
            self,
            (self.word,),
            {},
            context_data={LANGUAGE_CONTEXT_KEY: "fr"},
            handle_result=self.handle_result,
        )

    def handle_result(self, worker_ctx, result, exc_info):
        self.results.append(result)
        return result, exc_info


on_word = OnWord.decorator


class JsonHandler(HttpRequestHandler):
    """Answers with JSON, errors included."""

    def response_from_result(self, result):
        return Response(json.dumps(result), mimetype="application/json")

    def response_from_exception(self, exc):
        status = 409 if isinstance(exc, self.expected_exceptions) else 500
        body = json.dumps({"error": type(exc).__name__})
        return Response(body, status=status, mimetype="application/json")


json_http = JsonHandler.decorator


class Stock:
    name = "stock"

    config = Config()
    dispatch = EventDispatcher()
    journal = Journal()
    language = Language()
    print_label = Publisher(exchange=labels, declare=[label_queue])
    shelves = Shelves()

    @rpc(expected_exceptions=OutOfStock, sensitive_arguments="token")
    def take(self, name, count=1, token=None):
        with log_time("taking %s", name):
            if self.shelves.get(name, 0) < count:
                raise OutOfStock(name, count)
            self.shelves[name] -= count
        self.journal("taken")
        self.dispatch("taken", {"name": name, "count": count})
        self.print_label({"name": name}, routing_key="labels")
        return self.shelves[name]

    @rpc
    def greeting(self):
        return {"de": "Guten Tag", "fr": "Bonjour"}.get(self.language, "Hello")

    @rpc
    def exchange(self):
        return self.config["rpc_exchange"], self.config.copy()["max_workers"]

    @on_word("restock", expected_exceptions=KeyError)
    def restock(self, word):
        for name in self.shelves:
            self.shelves[name] += 10
        return f"{word} in {self.language}"


class Counter:
    name = "counter"

    stock = RpcProxy("stock")

    def __init__(self):
        self.attempts = 0

    @json_http("POST", "/goods/<name>", expected_exceptions=OutOfStock)
    def sell(self, request, name):
        count = json.loads(request.get_data(as_text=True))["count"]
        return {"left": self.stock.take(name, count=count, token="secret")}

    @http("GET", "/greeting")
    def greet(self, request):
        return 200, {"X-Service": self.name}, self.stock.greeting.call_async().result()

    @http("GET", "/flaky")
    def flaky(self, request):
        @retry(for_exceptions=ValueError, max_attempts=2, delay=0)
        def attempt():
            self.attempts += 1
            if self.attempts < 3:
                raise ValueError(self.attempts)
            return str(self.attempts)

        return attempt()


class Watcher:
    name = "watcher"

    journal = Journal()

    @event_handler("stock", "taken")
    def count(self, payload):
        return payload["count"]

    @event_handler("stock", "taken", handler_type=SINGLETON, requeue_on_error=False)
    def once_for_all(self, payload):
        return payload["name"]

    @event_handler("stock", "taken", handler_type=BROADCAST, reliable_delivery=False)
    def everywhere(self, payload):
        return payload

    @consume(label_queue)
    def show(self, label):
        return label["name"]

    @timer(interval=0.05)
    def tick(self):
        self.journal("tick")
