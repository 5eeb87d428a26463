"""Replies that the broker does not take."""

import pytest

from rpcnode.exceptions import RemoteError
from rpcnode.rpc import rpc
from tests.hosting import hosted

LIMIT = 100_000  # bytes


@pytest.fixture
def small_messages(rabbit_server):
    """A broker that takes small messages only, on channels that are opened from now on."""
    evaluate = "application:{}_env(rabbit, max_message_size{})."
    before = rabbit_server.ctl("eval", evaluate.format("get", "")).strip("{}ok, \n")
    rabbit_server.ctl("eval", evaluate.format("set", f", {LIMIT}"))
    yield
    rabbit_server.ctl("eval", evaluate.format("set", f", {before}"))


def test_caller_is_told_when_the_reply_is_too_large(vhost_uri, small_messages):
    class Service:
        name = "service"

        @rpc
        def method(self, size):
            return "x" * size

    with hosted({"AMQP_URI": vhost_uri}, Service) as services:
        with pytest.raises(RemoteError, match=r"PublishRejected.*the reply of service.method"):
            services.rpc.service.method(2 * LIMIT)

        assert services.rpc.service.method(5) == "xxxxx"
