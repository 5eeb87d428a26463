"""The life of a worker, as the documentation tells it."""

from examples.services import Writer
from rpcnode.testing import entrypoint_hook

LIFE = """\
setup
start
get_dependency
worker_setup
write ['hello']
worker_complete
worker_result
worker_teardown
stop
"""


def test_the_hooks_are_called_in_the_order_that_the_page_tells(container_factory, memory_config):
    container = container_factory(Writer, memory_config)
    container.start()

    with entrypoint_hook(container, "write") as write:
        write("hello")
    container.stop()

    [diary] = container.dependencies
    assert diary.lines == LIFE.splitlines()


def test_each_worker_has_an_instance_of_its_own(container_factory, memory_config):
    container = container_factory(Writer, memory_config)
    container.start()

    with entrypoint_hook(container, "write") as write:
        results = [write("one"), write("two")]

    assert results == [["one"], ["two"]]


def test_what_a_generator_yields_is_returned_as_a_list(container_factory, memory_config):
    container = container_factory(Writer, memory_config)
    container.start()

    with entrypoint_hook(container, "spell") as spell:
        result = spell("abc")

    assert result == ["a", "b", "c"]
