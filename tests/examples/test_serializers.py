"""A serializer of one's own, and services that use it on one side alone."""

from pathlib import Path

import pytest

from examples.serializers import Listener, Poet
from rpcnode.config import load
from rpcnode.testing import entrypoint_hook

FILE = Path(__file__).parents[2] / "examples" / "serializers.yaml"


@pytest.fixture
def zipped_config(memory_config):
    return load(FILE, broker=memory_config["AMQP_URI"], environ={})


def received_types(container):
    content_types = []

    class Observer:
        def message_received(self, message):
            content_types.append(message.properties["content_type"])

    container.observers.add(Observer())
    return content_types


def test_requests_are_encoded_with_the_serializer_of_the_page(container_factory, zipped_config):
    poet = container_factory(Poet, zipped_config)
    listener = container_factory(Listener, zipped_config)
    content_types = received_types(poet)
    poet.start()
    listener.start()

    with entrypoint_hook(listener, "count", timeout=10) as count:
        result = count(100)

    assert result == 100
    assert content_types == ["application/x-zipped-json"]


def test_a_caller_that_knows_json_alone_is_answered_in_json(
    container_factory, zipped_config, memory_config
):
    poet = container_factory(Poet, zipped_config)
    listener = container_factory(Listener, memory_config)
    content_types = received_types(listener)
    poet.start()
    listener.start()

    with entrypoint_hook(listener, "count", timeout=10) as count:
        result = count(3)

    assert result == 3
    assert content_types == ["application/json"]
