"""Things made ahead and destroyed behind."""

import subprocess
import sys
from textwrap import dedent

import pytest

from rpcnode.testing.utils import ResourcePipeline, assert_stops_raising


class Factory:
    def __init__(self):
        self.made = []
        self.destroyed = []

    def create(self):
        self.made.append(len(self.made))
        return self.made[-1]

    def destroy(self, thing):
        self.destroyed.append(thing)


def test_things_are_made_ahead_and_all_are_destroyed():
    factory = Factory()

    def has_made_all():
        assert len(factory.made) == 4  # one in use, two ready, one that finds no room

    with ResourcePipeline(factory.create, factory.destroy, size=2).run():
        pass
    used_none = factory.made == factory.destroyed
    factory = Factory()
    pipeline = ResourcePipeline(factory.create, factory.destroy, size=2)
    with pipeline.run(), pipeline.get() as first:
        assert_stops_raising(has_made_all)
        with pipeline.get() as second:
            pass
        in_use = factory.destroyed.copy()

    assert used_none
    assert (first, second) == (0, 1)
    assert 0 not in in_use
    assert sorted(factory.destroyed) == factory.made


# What `pytest.fail` and `pytest.skip` raise is no Exception.
@pytest.mark.parametrize("error", [OSError, pytest.fail.Exception, pytest.skip.Exception])
def test_thing_that_cannot_be_made_fails_where_it_is_wanted(error):
    def create():
        raise error("no room")

    pipeline = ResourcePipeline(create, Factory().destroy)

    with pipeline.run():
        with pytest.raises(error, match="no room"):
            pipeline.get().__enter__()


def test_thing_that_cannot_be_destroyed_fails_after_all_others_are():
    factory = Factory()

    def destroy(thing):
        factory.destroy(thing)
        raise OSError(f"{thing} resists")

    pipeline = ResourcePipeline(factory.create, destroy, size=3)

    def use():
        with pipeline.run(), pipeline.get():
            pass

    with pytest.raises(OSError, match="0 resists"):
        use()

    assert sorted(factory.destroyed) == factory.made


def test_pipeline_gives_nothing_before_and_after_it_runs():
    pipeline = ResourcePipeline(list, len)

    with pytest.raises(RuntimeError, match=r"inside `with pipeline\.run\(\):` only"):
        pipeline.get().__enter__()
    with pipeline.run():
        pass
    with pytest.raises(RuntimeError, match=r"inside `with pipeline\.run\(\):` only"):
        pipeline.get().__enter__()


def test_size_without_limit_is_refused():
    with pytest.raises(RuntimeError, match="at least one thing, not 0"):
        ResourcePipeline(list, list, size=0)


def test_things_are_made_by_native_threads_where_nothing_is_patched():
    program = """
        import time
        from rpcnode.testing.utils import ResourcePipeline

        pipeline = ResourcePipeline(time.monotonic, print, size=1)
        with pipeline.run():
            with pipeline.get() as thing:
                assert thing > 0
    """

    finished = subprocess.run(
        [sys.executable, "-c", dedent(program)], capture_output=True, text=True, timeout=50
    )

    assert (finished.returncode, finished.stderr) == (0, "")
    assert len(finished.stdout.splitlines()) >= 1
