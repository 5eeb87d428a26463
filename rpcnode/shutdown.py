"""How extensions are ended: each of them, whatever the others do, and within a time."""

import logging
from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import Any

from rpcnode.concurrency import GreenletExit, GreenThread, getcurrent, kill, spawn

logger = logging.getLogger(__name__)

STOP_GRACE = 5.0  # seconds that everything gets at least, however late it is


class Shutdown:
    """An orderly stop; what is not done at `deadline`, and had its grace, is killed."""

    def __init__(self, timeout: float) -> None:
        self._deadline = monotonic() + timeout
        self._stops: dict[GreenThread, Any] = {}

    def begin(self, extensions: Iterable[Any], others: Iterable[Any] = ()) -> None:
        """Begin to stop `extensions`, and to retire `others`, all at once.

        Waits for them at most until the deadline.
        """
        self._stops = {spawn(_stop, extension): extension for extension in extensions}
        self._stops.update({spawn(_retire, extension): extension for extension in others})
        wait_for(self._stops, self._deadline)

    def finish(self) -> None:
        """Give those that `begin` began to stop a last chance."""
        self._end(self._stops)

    def stop(self, extensions: Sequence[Any]) -> None:
        """Stop `extensions` one after the other."""
        for extension in extensions:
            self._end({spawn(_stop, extension): extension})

    def end_lanes(self, lanes: Sequence[Any], *, is_drained: bool = False) -> None:
        """Drop what waits for a worker, wait for those that run, kill those that run too long.

        Lanes that are drained first do all that waits, as long as there is time.
        """
        if is_drained:
            for lane in lanes:
                lane.wait(self._deadline - monotonic())
        for lane in lanes:
            lane.close()  # all of them first: to drop what waits in one can take a while
        for lane in lanes:
            lane.drop_pending()
        late = [lane for lane in lanes if not lane.wait(self._deadline - monotonic())]
        for lane in late:
            logger.warning("killing what still runs: %r", lane)
            lane.kill()
        ends = monotonic() + STOP_GRACE  # for the teardown of all that are killed
        for lane in late:
            lane.wait(ends - monotonic())

    def _end(self, stops: dict[GreenThread, Any]) -> None:
        for thread in wait_for(stops, max(self._deadline, monotonic() + STOP_GRACE)):
            logger.error("killing %r: it does not stop", stops[thread])
            kill(thread)
            kill_extension(stops[thread])


def _stop(extension: Any) -> None:
    _ended(extension, extension.stop)


def _retire(extension: Any) -> None:
    _ended(extension, extension.retire)


def _ended(extension: Any, end: Callable[[], object]) -> None:
    try:
        end()
    except GreenletExit:
        raise
    except BaseException:  # the others must be stopped as well
        logger.error("%r failed to stop", extension, exc_info=True)


def kill_extension(extension: Any) -> None:
    """Let an extension drop everything at once; an error is logged."""
    try:
        extension.kill()
    except Exception:  # the others must be killed as well
        logger.error("%r failed to be killed", extension, exc_info=True)


def kill_threads(threads: Iterable[GreenThread]) -> None:
    """Kill `threads`, but for the one that asks for it."""
    current = getcurrent()
    for thread in list(threads):
        if thread is not current:
            kill(thread)


def wait_for(threads: Iterable[GreenThread], until: float) -> list[GreenThread]:
    """Wait until all `threads` have ended or the clock says `until`; return what still runs."""
    for thread in threads:
        thread.join(until - monotonic())
    return [thread for thread in threads if not thread.dead]
