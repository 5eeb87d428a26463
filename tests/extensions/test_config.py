"""The configuration as a dependency."""

import pytest

from rpcnode.containers import ServiceContainer
from rpcnode.dependency_providers import Config
from rpcnode.extensions import Entrypoint


def test_worker_sees_the_configuration_and_cannot_change_it():
    seen = []

    class Service:
        name = "service"
        config = Config()

        @Entrypoint.decorator
        def method(self):
            seen.append(self.config)

    container = ServiceContainer(Service, {"my_key": "value"})
    container.run_worker(container.entrypoints[0], (), {})

    assert seen[0]["my_key"] == "value"
    with pytest.raises(TypeError):
        seen[0]["my_key"] = "other"
