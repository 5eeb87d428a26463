"""Users who may not do everything."""

import secrets
from urllib.parse import urlsplit, urlunsplit

import pytest

from rpcnode.rpc import rpc
from tests.hosting import hosted


@pytest.fixture
def restricted_uri(vhost_uri, management_api):
    """The URI for a user who may use what Nameko uses, and not the default exchange."""
    parts = urlsplit(vhost_uri)
    name, password = f"restricted-{secrets.token_hex(4)}", secrets.token_hex(8)
    management_api.request("PUT", f"users/{name}", {"password": password, "tags": ""})
    names = r"(nameko-rpc|rpc-.*|rpc\.reply-.*|.*\.events)"
    permissions = {"configure": names, "write": names, "read": names}
    management_api.request("PUT", f"permissions/{parts.path[1:]}/{name}", permissions)
    yield urlunsplit(parts._replace(netloc=f"{name}:{password}@{parts.hostname}:{parts.port}"))
    management_api.request("DELETE", f"users/{name}")


def test_calls_work_where_the_default_exchange_is_forbidden(restricted_uri):
    class Service:
        name = "service"

        @rpc
        def method(self, value):
            return value

    with hosted({"AMQP_URI": restricted_uri}, Service) as services:
        replies = [services.rpc.service.method.call_async(number) for number in range(50)]

        assert [reply.result(10) for reply in replies] == list(range(50))
        assert services.rpc.service.method("again") == "again"
