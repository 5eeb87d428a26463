"""What is written in place of Nameko 3's global configuration, and its new names."""

import pytest

from rpcnode.config import use_as_default
from rpcnode.containers import ServiceContainer
from rpcnode.dependency_providers import Config
from rpcnode.extensions import DependencyProvider
from rpcnode.rpc import ClusterRpc, ServiceRpc, rpc
from rpcnode.runners import run_services
from rpcnode.standalone.rpc import ClusterRpcClient, ServiceRpcClient
from rpcnode.testing.services import entrypoint_hook


class Greeting(DependencyProvider):
    """Injects the greeting of the configuration."""

    def get_dependency(self, worker_ctx):
        return self.container.config["GREETING"]


class Greeter:
    name = "greeter"
    config = Config()
    greeting = Greeting()

    @rpc
    def greet(self, who):
        return f"{self.greeting}, {who}{self.config['MARK']}"


class Host:
    name = "host"
    greeter = ServiceRpc("greeter")
    cluster = ClusterRpc()

    @rpc
    def receive(self, who):
        return [self.greeter.greet(who), self.cluster["greeter"].greet(who)]


SETTINGS = {"GREETING": "Hello", "MARK": "!"}


@pytest.fixture
def default(memory_config):
    """A configuration for all who are given none."""
    use_as_default({**memory_config, **SETTINGS})
    yield
    use_as_default(None)


def test_configuration_is_given_to_the_services_that_are_hosted(memory_config):
    with run_services({**memory_config, **SETTINGS}, Host, Greeter) as runner:
        with entrypoint_hook(runner.service_map["host"], "receive") as receive:
            assert receive("Ada") == ["Hello, Ada!"] * 2


def test_container_that_is_given_none_has_that_of_the_process(default):
    container = ServiceContainer(Greeter)
    container.start()

    with entrypoint_hook(container, "greet") as greet:
        assert greet("Ada") == "Hello, Ada!"
    container.stop()


def test_test_changes_a_key_for_its_own_container(container_factory, memory_config):
    config = {**memory_config, **SETTINGS}
    container = container_factory(Greeter, {**config, "MARK": "?"})

    with entrypoint_hook(container, "greet") as greet:
        assert greet("Ada") == "Hello, Ada?"


def test_clients_that_are_given_none_have_that_of_the_process(container_factory, vhost_uri):
    use_as_default({"AMQP_URI": vhost_uri, **SETTINGS})
    try:
        container_factory(Greeter).start()
        with ServiceRpcClient("greeter") as greeter, ClusterRpcClient() as cluster:
            assert greeter.greet("Ada") == "Hello, Ada!"
            assert cluster.greeter.greet("Ada") == "Hello, Ada!"
    finally:
        use_as_default(None)
