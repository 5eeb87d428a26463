"""A database session as a dependency, and what comes with a call."""

import pytest

from examples.dependency_providers import Accounts, Greeter
from rpcnode.testing import entrypoint_hook


@pytest.fixture
def accounts(container_factory, memory_config, tmp_path):
    config = {**memory_config, "DATABASE": str(tmp_path / "accounts.sqlite")}
    container = container_factory(Accounts, config)
    container.start()
    return container


def test_what_a_worker_wrote_is_committed_when_it_succeeds(accounts):
    with entrypoint_hook(accounts, "deposit") as deposit:
        deposit("Ada", 5)
        deposit("Ada", 7)

    with entrypoint_hook(accounts, "balance") as balance:
        assert balance("Ada") == 12


def test_what_a_worker_wrote_is_rolled_back_when_it_fails(accounts):
    with entrypoint_hook(accounts, "deposit") as deposit:
        deposit("Ada", 5)
        with pytest.raises(ValueError, match="above zero"):
            deposit("Ada", -3)

    with entrypoint_hook(accounts, "balance") as balance:
        assert balance("Ada") == 5


def test_no_session_outlives_its_worker(accounts):
    with entrypoint_hook(accounts, "deposit") as deposit:
        deposit("Ada", 5)

    [session] = accounts.dependencies
    assert len(session.connections) == 0


@pytest.fixture
def greeter(container_factory, memory_config):
    greetings = {"en": "Hello", "it": "Ciao"}
    container = container_factory(Greeter, {**memory_config, "GREETINGS": greetings})
    container.start()
    return container


@pytest.mark.parametrize(
    ("context_data", "greeting"), [({"language": "it"}, "Ciao"), ({}, "Hello")]
)
def test_the_greeter_speaks_the_language_that_came_with_the_call(greeter, context_data, greeting):
    with entrypoint_hook(greeter, "hello", context_data=context_data) as hello:
        assert hello() == greeting


def test_the_call_stack_begins_with_who_asked_first(greeter):
    context_data = {"call_id_stack": ["web.order.1"]}

    with entrypoint_hook(greeter, "who_asked", context_data=context_data) as who_asked:
        assert who_asked() == "web.order.1"
