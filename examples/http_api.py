"""A JSON API: `rpcnode run examples.http_api --broker memory://`."""

from dataclasses import dataclass
from hmac import compare_digest

from werkzeug.exceptions import Unauthorized

from rpcnode.dependency_providers import Config
from rpcnode.extensions import DependencyProvider
from rpcnode.http import HttpRequestHandler, http
from rpcnode.rpc import RpcProxy, rpc


class OutOfStock(Exception):
    """Raised when there is less of something than is wanted."""


SHELVES = {"plum": 5, "pear": 0}  # in memory, for the sake of the example


class Stock:
    name = "stock"

    @rpc
    def get(self, sku):
        return {"sku": sku, "quantity": SHELVES.get(sku, 0)}

    @rpc(expected_exceptions=OutOfStock)
    def reserve(self, sku, quantity=1):
        if SHELVES.get(sku, 0) < quantity:
            raise OutOfStock(f"not enough of {sku!r}")
        SHELVES[sku] -= quantity
        return {"sku": sku, "left": SHELVES[sku]}


class Shop:
    name = "shop"
    stock = RpcProxy("stock")

    @http("GET", "/items/<sku>")
    def item(self, request, sku):
        return self.stock.get(sku)

    @http("POST", "/orders", max_body="10KB", timeout=5, errors={"OutOfStock": 409})
    def order(self, request):
        return 201, self.stock.reserve(**request.json)


class TokenHandler(HttpRequestHandler):
    """Lets in who knows the token; a worker runs for nobody else."""

    def get_entrypoint_parameters(self, request):
        wanted = f"Bearer {self.container.config['API_TOKEN']}"
        given = request.headers.get("Authorization", "")
        if not compare_digest(given.encode(), wanted.encode()):
            raise Unauthorized("a token is wanted")
        return super().get_entrypoint_parameters(request)


private = TokenHandler.decorator


@dataclass
class Note:
    text: str
    written_by: str


class Notes(DependencyProvider):
    """Injects a list that all workers of the service share."""

    def setup(self):
        self.notes = []

    def get_dependency(self, worker_ctx):
        return self.notes


class Diary:
    name = "diary"
    config = Config()
    notes = Notes()

    @private("POST", "/notes")
    def write(self, request):
        self.notes.append(Note(request.json["text"], request.json.get("by", "somebody")))
        return 201, self.notes[-1]

    @private("GET", "/notes")
    def read(self, request):
        return self.notes

    @TokenHandler.resource("/pages/<int:number>", errors={IndexError: 404})
    class Page:
        """One note, by its number."""

        def get(self, request, number):
            return self.notes[number]

        def delete(self, request, number):
            del self.notes[number]
