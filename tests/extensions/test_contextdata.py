"""Context data as dependencies."""

import pytest

from rpcnode.containers import ServiceContainer
from rpcnode.contextdata import (
    AuthToken,
    CallStack,
    ContextDataProvider,
    Language,
    UserAgent,
    UserId,
)
from rpcnode.exceptions import ConfigurationError
from rpcnode.extensions import Entrypoint


class Tenant(ContextDataProvider):
    context_key = "tenant"


def injected(provider, data):
    class Service:
        name = "service"
        dep = provider

        @Entrypoint.decorator
        def method(self):
            seen.append(self.dep)

    seen = []
    container = ServiceContainer(Service, {})
    worker_ctx = container.run_worker(container.entrypoints[0], (), {}, data)
    return seen[0], worker_ctx


@pytest.mark.parametrize(
    ("provider", "key"),
    [
        (Language(), "language"),
        (UserId(), "user_id"),
        (UserAgent(), "user_agent"),
        (AuthToken(), "auth_token"),
        (ContextDataProvider("tenant"), "tenant"),
        (Tenant(), "tenant"),
        (Tenant("customer"), "customer"),
    ],
)
def test_worker_sees_a_value_of_the_context(provider, key):
    assert injected(provider, {key: "value"})[0] == "value"


def test_value_that_nobody_named_is_refused():
    with pytest.raises(ConfigurationError, match="ContextDataProvider wants a context_key"):
        ContextDataProvider()


def test_missing_value_is_none():
    assert injected(Language(), {})[0] is None


def test_worker_sees_the_caller_in_its_call_stack():
    stack, worker_ctx = injected(CallStack(), {"call_id_stack": ["outer"]})

    assert stack == ["outer", worker_ctx.call_id]
    assert stack is not worker_ctx.call_id_stack
