"""The configuration of HTTP."""

from pathlib import Path

from rpcnode.config import load
from rpcnode.contextdata import ContextDataProvider, Language
from rpcnode.http import http

FILE = Path(__file__).parents[2] / "examples" / "http.yaml"


class Service:
    name = "service"
    language = Language()
    request_id = ContextDataProvider("request_id")

    @http("POST", "/it")
    def method(self, request):
        return [self.language, self.request_id]


def test_configuration_of_the_example_is_in_force(container_factory, web_config, web_session):
    container_factory(Service, {**load(FILE, environ={}), **web_config}).start()
    headers = {"Accept-Language": "de", "X-Request-Id": "7", "Origin": "https://shop.example"}

    response = web_session.post("/it", headers=headers)
    too_large = web_session.post("/it", data=b"x" * 1_000_001)

    assert response.json() == ["de", "7"]
    assert response.headers["Access-Control-Allow-Credentials"] == "true"
    assert too_large.status_code == 413
