"""The course of a run: warm-up, rest, faults, settling, fresh work, rest, end."""

import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.random_run import faults
from tests.faults.random_run.actor import RunFailed, wait_until
from tests.faults.random_run.faults import Fault
from tests.faults.random_run.history import CONFIRMED, RIGHT, History
from tests.faults.random_run.records import Reader
from tests.faults.random_run.stage import CONSUMERS, DEAD_QUEUE, REPLY_QUEUES, Stage
from tests.faults.random_run.verdict import leaks

WARM_UP = 2.0  # seconds of work until the first rest, at least
WARMING_UP = 60.0  # seconds in which each process has to have used all that it opens when needed
FRESH = 2.0  # seconds of work after everything has settled
ENOUGH = 5  # calls of a client in that time
SETTLING = 60.0  # seconds after the last fault in which everything has to be well
RESTING = 45.0  # seconds in which what was begun has to end
WELL = 1.5  # seconds without a failure that count as well
RARE = ("shop.fail", "order")
ON_TOP = 0.35  # how probable it is that the network fails at the same time


@dataclass(frozen=True)
class Plan:
    """What a run is to be: how long things are broken, and which ones."""

    seed: str
    seconds: float
    catalogue: Sequence[Fault] = faults.CATALOGUE


class Scene:
    """Plays a run; `problems` are what went wrong on the way, `history` is what to judge."""

    def __init__(self, plan: Plan, stage: Stage, folder: Path, say: Callable[[str], None]) -> None:
        self.problems: list[str] = []
        self.history = History()
        self.dead: Counter[str] = Counter()
        self.states: dict[str, dict[str, Any]] = {}
        self._plan = plan
        self._stage = stage
        self._reader = Reader(folder)
        self._say = say
        self._dice = random.Random(plan.seed)
        self._bag: list[Fault] = []
        self._mess: dict[str, Any] = {}  # what the broker has that it should not have, or lacks

    def play(self) -> None:
        """Play it all; what goes wrong is in `problems`."""
        stage = self._stage
        stage.start()
        self._say("all processes are up")
        self._tell("go")
        stage.pause(WARM_UP)
        with self._noting_problems():
            wait_until(self._is_warm, WARMING_UP, "each process has done what it does seldom")
        self._rest()
        self._say("warm, and at rest")
        self.states["before"] = stage.states()
        channels = stage.channels()
        self._tell("go")
        self._break_things()
        self._settle()
        stage.pause(FRESH)
        self._rest()
        self._check_fresh_work()
        self.states["after"] = stage.states()
        self._look_for_leaks(channels)
        self._say("at rest")
        self.dead = stage.dead_events()
        self._end()
        self._read()

    def _is_warm(self) -> bool:
        self._read()
        # What is seldom done, and needs a channel of its own.
        wanted = {(each.author, what) for each in self._stage.actors_of("Shop") for what in RARE}
        wanted |= {(each.author, "sends late") for each in self._stage.clients}
        return wanted <= self.history.done

    def _tell(self, order: str) -> None:
        for client in self._stage.clients:
            client.ask(order)

    def _read(self) -> None:
        self.history.add(self._reader.new())

    def _rest(self) -> None:
        """Stop the load, and wait until everything that was begun has ended."""
        self._tell("rest")
        with self._noting_problems():
            wait_until(self._is_at_rest, RESTING, "everything is at rest")

    def _is_at_rest(self) -> bool:
        states = self._stage.states().values()
        is_idle = not any(sum(state["busy"].values()) for state in states)
        return is_idle and self._is_even(time.monotonic())

    def _is_even(self, before: float) -> bool:
        """Return whether everything that was confirmed before that time was handled."""
        self._read()
        return not self.history.uneven(before)

    def _break_things(self) -> None:
        end = time.monotonic() + self._plan.seconds
        for number in itertools.count():
            if time.monotonic() >= end:
                return
            # Dice of its own for each: what one draws does not change the others.
            dice = random.Random(f"{self._plan.seed} {number}")
            fault = self._next_fault()
            extra = self._fault_on_top(fault, dice)
            if extra is None:
                self._commit(fault, dice)
            else:
                self._commit_both(fault, extra, dice)
            self._stage.pause(dice.uniform(0.3, 3))

    def _commit_both(self, fault: Fault, extra: Fault, dice: random.Random) -> None:
        self._say(f"{fault.__name__} and {extra.__name__} at the same time")
        own_dice = random.Random(dice.random())
        thread = threading.Thread(target=self._commit, args=(extra, own_dice))
        thread.start()
        # Here, because processes die with the thread that has started them.
        self._commit(fault, dice)
        thread.join()

    def _next_fault(self) -> Fault:
        if not self._bag:
            self._bag = list(self._plan.catalogue)
            self._dice.shuffle(self._bag)
        return self._bag.pop()

    def _fault_on_top(self, fault: Fault, dice: random.Random) -> Fault | None:
        possible = [each for each in faults.ON_THE_NETWORK if each in self._plan.catalogue]
        is_alone = fault in (*faults.ON_THE_NETWORK, *faults.TAKING_MESSAGES)
        if is_alone or not possible or dice.random() > ON_TOP:
            return None
        return dice.choice(possible)

    def _commit(self, fault: Fault, dice: random.Random) -> None:
        kind = fault.__name__
        if fault in faults.TAKING_MESSAGES:
            self._wait_until_even()
        self._stage.records.note("fault begins", kind=kind)
        detail = "failed"
        try:
            with self._noting_problems():
                detail = fault(self._stage, dice)
        finally:
            self._stage.records.note("fault ended", kind=kind, detail=detail)
            self._say(f"{kind}: {detail}")

    def _wait_until_even(self) -> None:
        """Wait until all that is confirmed now is handled: what is lost later was not."""
        now = time.monotonic()
        with self._noting_problems():
            wait_until(lambda: self._is_even(now), SETTLING, "what was confirmed is handled")
        self._stage.records.note("even ledger", before=now)

    def _settle(self) -> None:
        """Wait until nothing fails any more, and note the moment."""
        for actor in self._stage.actors:
            actor.proxy.heal()
        began = time.monotonic()
        with self._noting_problems():
            wait_until(self._is_well, SETTLING, "everything is well again")
        self._say(f"settled in {self._stage.records.note('settled') - began:.1f} s")

    def _check_fresh_work(self) -> None:
        """Check that there was work since everything has settled: the judge looks for failures."""
        self._read()
        calls = Counter(each.author for each in self.history.calls_since(self.history.settled or 0))
        for client in self._stage.clients:
            if calls[client.author] < ENOUGH:
                self.problems.append(f"only {calls[client.author]} fresh calls of {client.author}")

    def _is_well(self) -> bool:
        self._read()
        since = time.monotonic() - WELL
        return all(self._is_client_well(client.author, since) for client in self._stage.clients)

    def _is_client_well(self, author: str, since: float) -> bool:
        mine = [each for each in self.history.calls.values() if each.author == author]
        ended = [each.outcome for each in mine if each.ended is not None and each.ended > since]
        sent = [
            each.outcome
            for event in self.history.events.values()
            if event.author == author
            for each in event.sendings.values()
            if each.ended is not None and each.ended > since
        ]
        return set(ended) == {RIGHT} and set(sent) == {CONFIRMED}

    def _look_for_leaks(self, channels: int) -> None:
        before, after = self.states["before"], self.states["after"]
        for name in after:
            self.problems += [f"{name}: {leak}" for leak in leaks(before[name], after[name])]
        with self._noting_problems():
            # Each service opens one more when something comes back for the first time.
            channels += len(self._stage.actors) - len(self._stage.clients)
            wait_until(lambda: self._is_broker_tidy(channels), RESTING, "the broker is tidy")
        if any(self._mess.values()):
            self.problems.append(f"the broker has too many or too few: {self._mess}")

    def _is_broker_tidy(self, channels: int) -> bool:
        stage = self._stage
        queues = {each["name"]: each for each in stage.queues()}
        consumed = {name: queues.get(name, {}).get("consumers") for name in CONSUMERS}
        # Replies to a client that was killed lie there until its queue expires.
        left = {
            name: each.get("messages")
            for name, each in queues.items()
            if name != DEAD_QUEUE and (each.get("consumers") or not name.startswith(REPLY_QUEUES))
        }
        self._mess = {
            "connections": len(stage.connections()) - 2 * len(stage.actors),
            "channels": max(0, stage.channels() - channels),
            "consumers": {name: n for name, n in consumed.items() if n != CONSUMERS[name]},
            "messages": {name: count for name, count in left.items() if count},
        }
        return not any(self._mess.values())

    def _end(self) -> None:
        """End all processes in good order; they leave nothing behind but their queues."""
        stage = self._stage
        strays = self._reply_queues() - len(stage.clients) - len(stage.actors_of("Shop"))
        self._read()
        if strays > len(self.history.gone):
            self.problems.append(f"{strays} reply queues of nobody, {len(self.history.gone)} ends")
        for actor in stage.actors:
            with self._noting_problems():
                actor.terminate(stage.records)
        with self._noting_problems():
            wait_until(lambda: not stage.connections(), RESTING, "no connection is left")
        if (left := self._reply_queues()) > strays:
            self.problems.append(f"{left - strays} reply queues were left at the end")

    def _reply_queues(self) -> int:
        return sum(each["name"].startswith(REPLY_QUEUES) for each in self._stage.queues())

    def _noting_problems(self) -> "_Noting":
        return _Noting(self.problems, self._say)


class _Noting:
    """Takes note of what did not happen, and lets the run go on."""

    def __init__(self, problems: list[str], say: Callable[[str], None]) -> None:
        self._problems = problems
        self._say = say

    def __enter__(self) -> None:
        """Nothing."""

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> bool:
        if not isinstance(error, Exception):
            return False
        problem = str(error) if isinstance(error, RunFailed) else repr(error)
        self._problems.append(problem)
        self._say(f"PROBLEM: {problem}")
        return True
