"""The catalogue: what is done to the broker, the network and the processes of a run.

Each fault is a function of the stage and of dice. It does its harm, ends it, and returns what it
did in words. The broker runs, and all processes are started, when it returns.
"""

import os
import random
import signal
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from tests.faults.proxy import TO_BROKER, TO_CLIENT
from tests.faults.random_run.actor import HEARTBEAT, Actor, wait_until
from tests.faults.random_run.stage import CONSUMERS, FAILING_QUEUE, REPLY_QUEUES, VHOST, Stage
from tests.management_api import quoted

Dice = random.Random
Fault = Callable[[Stage, Dice], str]
REDECLARED = 60.0  # seconds until a deleted queue has to be there again
STATISTICS = 30.0  # seconds until the management API knows of a connection
NORMAL_WATERMARK = "0.4"
# The broker answers as to a client that asks for a queue which is not there: 404, and the
# channel is closed.
CLOSE_CHANNELS = """
[rabbit_channel:do(Channel,
    {'queue.declare', 0, <<"nowhere">>, true, false, false, false, false, []})
 || Channel <- rabbit_channel:list(),
    [{consumer_count, Count}] <- [rabbit_channel:info(Channel, [consumer_count])], Count > 0,
    rand:uniform(100) =< PERCENT].
"""


def _some(stage: Stage, dice: Dice) -> list[Actor]:
    """Return one process, or sometimes all."""
    return list(stage.actors) if dice.random() < 0.3 else [dice.choice(stage.actors)]


def _names(actors: list[Actor]) -> str:
    return "all" if len(actors) > 1 else actors[0].name


def _way(dice: Dice) -> str | None:
    return dice.choice((TO_BROKER, TO_CLIENT, None))


def cut(stage: Stage, dice: Dice) -> str:
    """Break connections, with RST or FIN."""
    actors, reset = _some(stage, dice), dice.random() < 0.7
    count = sum(actor.proxy.cut(reset=reset) for actor in actors)
    return f"{count} connections of {_names(actors)} by {'RST' if reset else 'FIN'}"


def half_close(stage: Stage, dice: Dice) -> str:
    """Close one way of connections."""
    actors, way = _some(stage, dice), dice.choice((TO_BROKER, TO_CLIENT))
    count = sum(actor.proxy.half_close(way) for actor in actors)
    return f"{way} of {count} connections of {_names(actors)}"


def stall(stage: Stage, dice: Dice) -> str:
    """Let nothing pass, one way or both, for up to more than two heartbeats."""
    actors, way, seconds = _some(stage, dice), _way(dice), dice.uniform(0.5, 3 * HEARTBEAT)
    for actor in actors:
        actor.proxy.stall(way)
    return _for_a_while(stage, actors, seconds, f"{way or 'both ways'} of {_names(actors)}")


def delay(stage: Stage, dice: Dice) -> str:
    """Let everything pass late."""
    actors, way, late = _some(stage, dice), _way(dice), dice.uniform(0.02, 0.7)
    for actor in actors:
        actor.proxy.delay(late, way)
    what = f"{way or 'both ways'} of {_names(actors)} by {late:.2f} s"
    return _for_a_while(stage, actors, dice.uniform(1, 4), what)


def throttle(stage: Stage, dice: Dice) -> str:
    """Let little pass: who reads or is read slowly."""
    actors, way, rate = _some(stage, dice), _way(dice), dice.uniform(10_000, 100_000)
    for actor in actors:
        actor.proxy.throttle(rate, way)
    what = f"{way or 'both ways'} of {_names(actors)} to {rate / 1000:.0f} KB/s"
    return _for_a_while(stage, actors, dice.uniform(1, 4), what)


def truncate(stage: Stage, dice: Dice) -> str:
    """Break connections in the middle of a frame, those that are made meanwhile as well."""
    actors, way = _some(stage, dice), dice.choice((TO_BROKER, TO_CLIENT))
    size = dice.choice((dice.randrange(1, 60), dice.randrange(1, 3000), dice.randrange(1, 30_000)))
    for actor in actors:
        actor.proxy.truncate(size, way, reset=dice.random() < 0.5)
    what = f"{way} of {_names(actors)} after {size} bytes"
    return _for_a_while(stage, actors, dice.uniform(0.3, 2), what)


def refuse(stage: Stage, dice: Dice) -> str:
    """Break connections, and take none for a while."""
    actors = _some(stage, dice)
    for actor in actors:
        actor.proxy.refuse()
        actor.proxy.cut(reset=True)
    return _for_a_while(stage, actors, dice.uniform(0.5, 3), f"connections of {_names(actors)}")


def _for_a_while(stage: Stage, actors: list[Actor], seconds: float, what: str) -> str:
    stage.pause(seconds)
    for actor in actors:
        actor.proxy.heal()
    return f"{what}, {seconds:.1f} s"


def broker_frozen(stage: Stage, dice: Dice) -> str:
    """Stop the broker's process, and let it go on."""
    seconds = dice.uniform(0.5, 3 * HEARTBEAT)
    os.kill(stage.server.pid, signal.SIGSTOP)
    stage.pause(seconds)
    os.kill(stage.server.pid, signal.SIGCONT)
    return f"{seconds:.1f} s"


def broker_killed(stage: Stage, dice: Dice) -> str:
    """Kill the broker, and start it again."""
    os.kill(stage.server.pid, signal.SIGKILL)
    return _away(stage, dice)


def broker_restarted(stage: Stage, dice: Dice) -> str:
    """End the broker in good order, and start it again."""
    return _away(stage, dice)


def _away(stage: Stage, dice: Dice) -> str:
    stage.server.halt()  # also takes note of one that was killed
    seconds = dice.uniform(0, 2)
    stage.pause(seconds)
    stage.server.resume()
    return f"away for {seconds:.1f} s and the time of a start"


def connections_closed(stage: Stage, dice: Dice) -> str:
    """Have the broker close connections."""
    # A broker that was just started has none, or does not know of them yet.
    names = wait_until(stage.connections, STATISTICS, "the broker knows of connections")
    chosen = names if dice.random() < 0.3 else dice.sample(names, dice.randint(1, len(names)))
    closed = 0
    for name in chosen:
        try:
            stage.api.close_connection(name)
        except OSError:  # it is gone already
            continue
        closed += 1
    return f"{closed} of {len(names)}"


def channels_closed(stage: Stage, dice: Dice) -> str:
    """Have the broker close consuming channels.

    It closes a publishing one for a bad message only, and then says so to who sent it.
    """
    percent = dice.choice((30, 100))
    answer = stage.server.ctl("eval", CLOSE_CHANNELS.replace("PERCENT", str(percent)))
    return f"{answer.count('ok')} channels"


def queue_deleted(stage: Stage, dice: Dice) -> str:
    """Delete the queue of a service; it has to be declared and bound again.

    What was in it is gone: that is why the ledger has to be even before, see `scene`.
    """
    name = dice.choice(list(CONSUMERS))
    stage.records.note("deleting", queue=name)
    stage.api.request("DELETE", stage.queue(name))
    wait_until(partial(_is_bound, stage, name), REDECLARED, f"queue {name!r} is there again")
    stage.records.note("deleted", queue=name)
    return name


def _is_bound(stage: Stage, name: str) -> bool:
    try:
        found = stage.api.request("GET", f"{stage.queue(name)}/bindings")
    except OSError:
        return False
    return any(each["source"] for each in found)


def reply_queue_deleted(stage: Stage, dice: Dice) -> str:
    """Delete the reply queue of a process: the calls that wait have nothing to wait for."""
    actor = dice.choice([*stage.clients, *stage.actors_of("Shop")])
    name = _reply_queue(actor)
    stage.records.note("deleting", queue=name, author=actor.author)
    stage.api.request("DELETE", f"queues/{VHOST}/{quoted(name)}")
    wait_until(partial(_has_another, stage, actor, name), REDECLARED, f"{name!r} is replaced")
    stage.records.note("deleted", queue=name, author=actor.author)
    return f"of {actor.name}"


def _reply_queue(actor: Actor) -> str:
    return f"{REPLY_QUEUES}{actor.service.lower()}-{actor.ask('address')}"


def _has_another(stage: Stage, actor: Actor, old: str) -> bool:
    name = _reply_queue(actor)
    return name != old and _is_bound(stage, name)


def dead_replayed(stage: Stage, dice: Dice) -> str:
    """Send the dead letters back to work; sometimes who does it is killed, and another one does."""
    killed = 0
    while dice.random() < 0.5:
        killed += 1
        stage.replay(kill_after=dice.uniform(0.2, 1.0))
    stage.replay()
    wait_until(partial(_is_empty, stage, FAILING_QUEUE), REDECLARED, "what was replayed is handled")
    return f"{killed} times killed"


def _is_empty(stage: Stage, name: str) -> bool:
    # Straight from the queue: the management API's figures are seconds old.
    listed = stage.server.ctl("list_queues", "--quiet", "--no-table-headers", "name", "messages")
    return f"{name}\t0" in listed.splitlines()


def memory_alarm(stage: Stage, dice: Dice) -> str:
    """Have the broker find that it has too little memory, so that it blocks who publishes."""
    seconds = dice.uniform(0.5, 4)
    with ExitStack() as stack:
        stack.callback(_set_watermark, stage, NORMAL_WATERMARK)
        _set_watermark(stage, "0.0000001")
        stage.pause(seconds)
    return f"{seconds:.1f} s"


def _set_watermark(stage: Stage, fraction: str) -> None:
    stage.server.ctl("set_vm_memory_high_watermark", fraction)


def processor_hogged(stage: Stage, dice: Dice) -> str:
    """Have a handler compute without a pause, for up to three heartbeats."""
    actor, seconds = dice.choice(stage.actors), dice.uniform(0.5, 3 * HEARTBEAT)
    # Its own green threads wait as long: no call of a hogged client can end in time.
    stage.records.note("hogging", author=actor.author)
    actor.ask("hog", seconds=seconds)
    stage.records.note("hogged", author=actor.author)
    return f"{actor.name}, {seconds:.1f} s"


def service_terminated(stage: Stage, dice: Dice) -> str:
    """End a process in good order, and start it again."""
    actor = dice.choice(stage.actors)
    try:
        actor.terminate(stage.records)
    finally:
        _start_again(stage, actor)
    return actor.name


def service_killed(stage: Stage, dice: Dice) -> str:
    """Kill a process, and start it again."""
    actor = dice.choice(stage.actors)
    actor.kill(stage.records)
    _start_again(stage, actor)
    return actor.name


def _start_again(stage: Stage, actor: Actor) -> None:
    actor.start()
    actor.wait_until_up()
    if actor in stage.clients:
        actor.ask("go")


# These need nothing but a proxy, and may come on top of another fault.
ON_THE_NETWORK: tuple[Fault, ...] = (cut, half_close, stall, delay, throttle, truncate, refuse)
# Before these the ledger has to be even.
TAKING_MESSAGES: tuple[Fault, ...] = (queue_deleted,)
CATALOGUE: tuple[Fault, ...] = (
    *ON_THE_NETWORK,
    broker_frozen,
    broker_killed,
    broker_restarted,
    connections_closed,
    channels_closed,
    *TAKING_MESSAGES,
    reply_queue_deleted,
    dead_replayed,
    memory_alarm,
    processor_hogged,
    service_terminated,
    service_killed,
)
