"""Which lane a call goes to, how many calls may wait there, and what happens to one too many.

The methods of a service share one queue. As long as they share their workers as well, calls wait
in that queue. Once a method has workers of its own, a call that waits for one of them must not
hold up the calls behind it that others could run: so each lane takes a limited number, and what
comes beyond that is answered at once.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any

from rpcnode.exceptions import OutcomeUnknown, RpcError, TooBusy
from rpcnode.extensions.intake import Intake, Job, Owner, Terms
from rpcnode.extensions.rpc_answers import Answers, wants_reply
from rpcnode.extensions.rpc_returns import Returns
from rpcnode.lanes import Lane, WaitingRoom

if TYPE_CHECKING:
    from rpcnode.extensions.rpc_server import Rpc

logger = logging.getLogger(__name__)

FEWEST_PREFETCHED = 50
LOG_INTERVAL = 60.0  # seconds between two lines about one lane that is full
REFUSE = "refuse"


@dataclass(slots=True, eq=False)
class Route:
    """The way of the calls of one method. `entrypoint` is None where there is no such method."""

    label: str  # `service.method`, for errors and logs
    entrypoint: "Rpc | None"
    lane: Lane
    terms: Terms
    refuses_redelivery: bool = False

    @property
    def is_idempotent(self) -> bool:
        """Whether the method may run twice."""
        return self.entrypoint is not None and self.entrypoint.idempotent


class Routes:
    """The routes of all methods of a service."""

    def __init__(self, container: Any, intake: Intake, returns: Returns, owner: Owner) -> None:
        self._container = container
        self._config = container.config
        self._intake = intake
        self._returns = returns
        self._owner = owner
        self._routes: dict[str, Route] = {}
        self._rooms: dict[Lane, WaitingRoom] = {}

    def make(self, entrypoints: Iterable["Rpc"]) -> None:
        """Make the routes of these methods, which are all that the service has."""
        entrypoints = list(entrypoints)
        default = self._container.default_lane
        has_lanes = any(each.lane is not default for each in entrypoints)
        limit = self._config["RPC_QUEUE_LIMIT"]
        self._rooms = {default: self._room(default, limit, has_lanes)}
        for each in entrypoints:
            if each.lane is not default:
                self._rooms[each.lane] = self._room(each.lane, each.queue_limit, has_lanes)
        self._routes = {each.method_name: self._route(each) for each in entrypoints}

    def find(self, method: str) -> Route:
        """Return the route of a method, that of an unknown one if there is none."""
        return self._routes.get(method) or self._unknown(method)

    def prefetch(self) -> int:
        """Return how many requests the consumer may hold: all that lanes take, and one more."""
        configured: int | None = self._config["PREFETCH_COUNT"]
        room = sum(room.limit or 0 for room in self._rooms.values())
        workers = sum(lane.max_workers for lane in self._rooms)
        if len(self._rooms) == 1:
            return configured or max(FEWEST_PREFETCHED, 2 * workers)
        if configured is not None and configured <= workers + room:
            logger.warning(
                "PREFETCH_COUNT is %d, but the lanes of %s hold up to %d calls: a full one will "
                "hold up the others",
                configured,
                self._container.service_name,
                workers + room,
            )
        return configured or max(FEWEST_PREFETCHED, workers + room + 1)

    def _room(self, lane: Lane, limit: int | None, has_lanes: bool) -> WaitingRoom:
        if not has_lanes:
            return self._intake.waiting_room()
        return self._intake.waiting_room(lane.max_workers if limit is None else limit)

    def _route(self, entrypoint: "Rpc") -> Route:
        label = f"{self._container.service_name}.{entrypoint.method_name}"
        room = self._rooms[entrypoint.lane]
        is_refusing = entrypoint.on_redelivery == REFUSE
        give_back = self._returns.return_unstarted if is_refusing else Job.requeue
        terms = Terms(room, give_back, self._owner)
        return Route(label, entrypoint, entrypoint.lane, terms, is_refusing)

    def _unknown(self, method: str) -> Route:
        lane = self._container.default_lane
        terms = Terms(self._rooms[lane], owner=self._owner)
        return Route(f"{self._container.service_name}.{method!r}", None, lane, terms)


class Overload:
    """Turns away the calls that a lane has no room for."""

    def __init__(self, answers: Answers, returns: Returns) -> None:
        self._answers = answers
        self._returns = returns
        self._next_log: dict[Lane, float] = {}

    def turn_away(self, job: Job, route: Route, deadline: float | None) -> None:
        """Answer that the service is too busy; a cast is put aside, because nobody would know.

        Of a call that was delivered before, nobody can say that it was not run.
        """
        counts = self._answers.counts
        workers, waiting = route.lane.max_workers, route.terms.room.limit
        self._log(route.lane, waiting)
        if not wants_reply(job.delivery):
            counts.put_aside += 1
            if route.entrypoint is None or job.delivery.problem is not None:
                job.requeue_later()  # nobody may be bound for what its copy would be
            else:
                self._returns.put_aside(job)
            return
        counts.too_busy += 1
        text = f"{route.label}: {workers} workers are busy, and {waiting} calls wait"
        error: RpcError = TooBusy(text)
        is_unknown = job.may_have_run and not route.is_idempotent
        if is_unknown:
            error = OutcomeUnknown(f"{text}; it was called, and perhaps run, before")
        self._answers.reply_error(job, route.label, error, deadline, is_retryable=not is_unknown)

    def _log(self, lane: Lane, limit: int | None) -> None:
        # Once in a while: there may be thousands of them in a second.
        now = monotonic()
        if now >= self._next_log.get(lane, now):
            self._next_log[lane] = now + LOG_INTERVAL
            logger.warning(
                "%s is too busy: %d workers and %s waiting calls; more are turned away",
                lane.name,
                lane.max_workers,
                limit,
            )
