"""Green threads and all that waits."""

import _socket
import contextvars
import gc
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import pytest
from eventlet import patcher

from rpcnode.concurrency import (
    Bridge,
    Event,
    GreenletExit,
    ReadWait,
    Timeout,
    call_later,
    call_soon,
    getcurrent,
    kill,
    lookups,
    loop,
    native_socket,
    note_new_file,
    run_in_native_thread,
    sleep,
    spawn,
    threads,
    wait_readable,
)
from rpcnode.concurrency import socket as green_socket
from rpcnode.concurrency.backend import native_threading
from tests.hosting import wait_until

native_wait = patcher.original("time").sleep


def settle():
    for _ in range(3):
        sleep()


def python(program, **options):
    """Run a program in a process of its own, that nobody patched."""
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, **options
    )


def test_green_thread_returns_what_its_function_returns():
    assert spawn(divmod, 7, 2).wait() == (3, 1)


def test_green_thread_raises_what_its_function_raises_and_logs_it(caplog):
    def fail():
        raise ValueError("inside")

    with caplog.at_level(logging.ERROR), pytest.raises(ValueError, match="inside"):
        spawn(fail).wait()

    assert "ValueError: inside" in caplog.text


def test_exit_in_a_green_thread_does_not_end_the_process(caplog):
    def leave():
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        spawn(leave).wait()

    assert spawn(int).wait() == 0


def test_spawn_does_not_switch():
    log = []

    spawn(log.append, 1)

    assert log == []
    settle()
    assert log == [1]


def test_context_is_copied_when_a_green_thread_is_spawned():
    variable, seen = contextvars.ContextVar("variable"), []

    def inner():
        seen.append(variable.get())
        variable.set("inner")

    variable.set("outer")
    thread = spawn(inner)
    variable.set("later")
    thread.wait()

    assert seen == ["outer"]
    assert variable.get() == "later"


def test_killed_green_thread_ends_with_greenlet_exit_quietly(caplog):
    thread = spawn(Event().wait)
    settle()

    kill(thread)

    with pytest.raises(GreenletExit):
        thread.wait()
    assert caplog.records == []


def test_green_thread_that_is_killed_before_it_begins_never_runs():
    log, ended = [], []
    thread = spawn(log.append, 1)
    thread.link(ended.append)

    kill(thread)
    settle()

    assert log == []
    assert ended == [thread]


def test_killing_a_finished_green_thread_does_nothing():
    thread = spawn(int)
    thread.wait()

    kill(thread)

    assert thread.wait() == 0


def test_kill_throws_what_it_is_given():
    thread = spawn(Event().wait)
    settle()

    kill(thread, OSError("thrown"))

    with pytest.raises(OSError, match="thrown"):
        thread.wait()


def test_calls_soon_are_made_in_order_from_the_hub():
    log = []

    call_soon(log.append, 1)
    call_soon(log.append, 2)
    assert log == []
    settle()

    assert log == [1, 2]


def test_failing_call_keeps_no_other_from_being_made(caplog):
    log = []

    call_soon(lambda: 1 / 0)
    call_soon(log.append, 2)
    settle()

    assert log == [2]
    assert "ZeroDivisionError" in caplog.text


def test_call_that_asks_for_another_lets_sockets_have_their_turn():
    log, (reader, writer) = [], os.pipe()

    def again():
        if "read" not in log:
            log.append("again")
            call_soon(again)

    def read():
        wait_readable(reader)
        log.append("read")

    thread = spawn(read)
    settle()
    os.write(writer, b"x")
    call_soon(again)
    with Timeout(5):
        thread.wait()

    assert log[-1] == "read"


def test_call_later_is_made_after_its_time_unless_it_is_cancelled():
    log, done = [], Event()
    begin = time.monotonic()

    call_later(0.01, log.append, "cancelled").cancel()
    call_later(0.02, done.set)

    assert done.wait(5)
    assert time.monotonic() - begin >= 0.02
    assert log == []


def test_event_gives_its_value_to_all_who_wait():
    event = Event()
    waiters = [spawn(lambda: event.wait() and event.result()) for _ in range(3)]
    settle()

    assert not event.is_set()
    event.set("value")

    assert [waiter.wait() for waiter in waiters] == ["value"] * 3
    assert event.is_set()


def test_event_gives_its_error_to_all_who_ask_for_the_result():
    event = Event()
    event.fail(OSError("broken"))

    assert event.wait() is True
    for _ in range(2):
        with pytest.raises(OSError, match="broken"):
            event.result()


@pytest.mark.parametrize("first", [lambda event: event.set(1), lambda event: event.fail(OSError())])
def test_event_is_set_once(first):
    event = Event()

    assert first(event) is True
    assert event.set(2) is False
    assert event.fail(ValueError()) is False


def test_waiting_for_an_event_ends_after_its_time():
    event, begin = Event(), time.monotonic()

    assert event.wait(0.01) is False
    assert event.wait(0) is False
    assert time.monotonic() - begin >= 0.01


def test_event_that_is_set_wakes_nobody_who_gave_up():
    event, log = Event(), []

    def wait_for_another():
        event.wait(0.01)
        sleep(0.02)
        log.append(time.monotonic())

    begin = time.monotonic()
    thread = spawn(wait_for_another)
    call_later(0.01, event.set)
    call_later(0.015, event.set)
    thread.wait()

    assert log[0] - begin >= 0.03


def test_killed_waiter_is_forgotten():
    event = Event()
    thread = spawn(event.wait)
    settle()
    kill(thread)

    event.set()
    settle()

    assert thread.dead


def test_native_thread_gets_along_with_who_closes_what_another_reads():
    pairs = [green_socket.socketpair() for _ in range(3)]
    waiting = []

    def read(sock):
        waiting.append(sock)
        with pytest.raises(EOFError):  # so eventlet tells that it was closed
            sock.recv(1)

    readers = [spawn(read, sock) for pair in pairs for sock in pair]
    wait_until(lambda: len(waiting) == len(readers))
    for sock in waiting:
        sock.close()

    outcomes = [run_in_native_thread(int, number) for number in "123"]

    assert [outcome.wait(5) and outcome.result() for outcome in outcomes] == [1, 2, 3]
    for sock in [native_socket.socket() for _ in range(9)]:  # what is left of the numbers
        note_new_file(sock.fileno())
    settle()
    for reader in readers:
        reader.wait()


def test_native_thread_hands_its_outcome_over():
    good = run_in_native_thread(threading.get_native_id)
    bad = run_in_native_thread(int, "x")

    assert good.wait(5)
    assert good.result() != threading.get_native_id()
    assert bad.wait(5)
    with pytest.raises(ValueError, match="invalid literal"):
        bad.result()


def test_hub_goes_on_while_a_native_thread_blocks():
    program = """
import time
from rpcnode.concurrency import run_in_native_thread, sleep
outcome = run_in_native_thread(time.sleep, .2)
ticks = 0
while not outcome.is_set():
    sleep(.01)
    ticks += 1
print(ticks)
"""

    assert int(python(program).stdout) >= 10


def test_bridge_carries_calls_to_the_hub_and_their_outcome_back():
    bridge = Bridge()

    def ask():
        with pytest.raises(ZeroDivisionError):
            bridge.call(lambda: 1 / 0)
        return bridge.call(divmod, 7, 2)

    outcome = run_in_native_thread(ask)

    assert outcome.wait(5)
    assert outcome.result() == (3, 1)
    bridge.close()


def test_closed_bridge_takes_posts_without_an_error():
    bridge = Bridge()
    bridge.close()

    bridge.post(print)
    settle()


SIGNALS = """
import os, signal, sys
from rpcnode.concurrency import Event, on_signals
stop = Event()
before = signal.getsignal(signal.SIGTERM)
with on_signals({signal.SIGTERM: lambda: stop.set("stopped")}):
    print("ready", flush=True)
    stop.wait()
assert signal.getsignal(signal.SIGTERM) is before
print(stop.result())
"""


def wait_until_asleep(process_id):
    """Wait until the kernel says that the process waits for something."""
    end = time.monotonic() + 5
    while Path(f"/proc/{process_id}/stat").read_text().rpartition(") ")[2][0] != "S":
        assert time.monotonic() < end, "it does not sleep"
        sleep(0.002)


@pytest.mark.skipif(sys.platform != "linux", reason="only /proc shows that a process is idle")
def test_signal_wakes_an_idle_hub():
    with subprocess.Popen([sys.executable, "-c", SIGNALS], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"ready\n"
        wait_until_asleep(process.pid)

        begin = time.monotonic()
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=5)

    assert output == b"stopped\n"
    assert process.returncode == 0
    assert time.monotonic() - begin < 2


def test_nothing_is_patched_unless_asked_for():
    program = """
import socket, time
before = socket.socket, time.sleep
from rpcnode import concurrency
assert (socket.socket, time.sleep) == before
assert not concurrency.is_patched()
concurrency.monkey_patch()
assert concurrency.is_patched()
"""

    result = python(program, env={**os.environ, "PYTHONWARNINGS": "error"})

    assert result.stderr == ""
    assert result.returncode == 0


def test_what_is_far_away_does_not_trouble_the_hub():
    event = Event()
    far = call_later(3e9, event.fail, AssertionError("it came already"))
    waiting = spawn(event.wait, 3e12)
    sleep(0.01)

    event.set("now")

    assert waiting.wait() is True
    far.cancel()


def test_what_is_far_away_comes_in_the_end(monkeypatch):
    monkeypatch.setattr(loop, "LONGEST_TIMER", 0.01)
    event, begin = Event(), time.monotonic()
    call_later(0.055, event.set)
    cancelled = call_later(0.03, event.fail, AssertionError("it was cancelled"))
    sleep(0.015)
    cancelled.cancel()

    assert event.wait(5)
    event.result()
    assert 0.05 < time.monotonic() - begin < 1


def test_cancelled_timers_leave_nothing_behind():
    fired = []

    for number in range(20_000):
        call_later(1000 + number, fired.append, number).cancel()
    kept = call_later(0.01, fired.append, "kept")
    gc.collect()
    handles = [each for each in gc.get_objects() if type(each) is type(kept)]

    assert len(handles) < 5000
    wait_until(lambda: fired == ["kept"])


def test_timers_fire_in_the_order_of_their_time_whatever_was_cancelled():
    fired = []

    handles = [call_later(0.02 + number / 1000, fired.append, number) for number in range(50)]
    for handle in handles[::2]:
        handle.cancel()
    call_later(0.001, fired.append, "first")

    wait_until(lambda: len(fired) == 26)
    assert fired == ["first", *range(1, 50, 2)]


def test_timer_that_fails_holds_up_no_other_one(caplog):
    fired = []

    call_later(0.001, lambda: 1 / 0)
    call_later(0.002, fired.append, 1)

    wait_until(lambda: fired)
    assert "failed in the hub" in caplog.text


def test_others_run_while_a_name_is_looked_up(monkeypatch):
    ended, ticks = [], []
    getaddrinfo = _socket.getaddrinfo

    def look_up_slowly(*args):
        native_wait(0.3)  # a name server that takes its time
        return getaddrinfo(*args)

    monkeypatch.setattr(_socket, "getaddrinfo", look_up_slowly)
    spawn(lambda: ended.append(green_socket.getaddrinfo("localhost", 80)))
    while not ended:
        ticks.append(None)
        sleep(0.01)

    assert len(ticks) > 10
    assert ended[0][0][4][1] == 80


def test_lookups_that_nobody_waits_for_any_more_do_not_pile_up(monkeypatch):
    running, peaks = [], []
    getaddrinfo = _socket.getaddrinfo

    def look_up_slowly(*args):
        running.append(None)
        peaks.append(len(running))
        native_wait(0.05)  # a name server that takes its time
        running.pop()
        return getaddrinfo(*args)

    monkeypatch.setattr(_socket, "getaddrinfo", look_up_slowly)
    for _ in range(3):
        impatient = [spawn(green_socket.getaddrinfo, "localhost", 80) for _ in range(10)]
        settle()
        for thread in impatient:
            kill(thread)

    assert green_socket.getaddrinfo("localhost", 80)
    assert max(peaks) <= lookups.MOST_LOOKUPS


def test_lookup_without_a_native_thread_fails_and_the_next_one_works(monkeypatch):
    def have_none_left(_thread):
        raise RuntimeError("can't start new thread")

    before = lookups._lookups.slots.counter
    with monkeypatch.context() as patch:
        patch.setattr(native_threading.Thread, "start", have_none_left)
        with pytest.raises(RuntimeError, match="can't start"):
            green_socket.getaddrinfo("localhost", 80)

    assert lookups._lookups.slots.counter == before
    assert green_socket.getaddrinfo("localhost", 80)


def test_name_that_is_not_known_is_an_error_and_addresses_ask_nobody(monkeypatch):
    with pytest.raises(OSError, match="not known"):
        green_socket.getaddrinfo("no-such-host.invalid", 80)

    monkeypatch.setattr(lookups, "run_natively", None)
    for address in ("127.0.0.1", "::1", "fe80::1%lo", None):
        assert green_socket.getaddrinfo(address, 80)


def spawn_some(function, times=5, at_once=3):
    """Run a function in green threads, some at once, again and again."""
    for _ in range(times):
        for _ in range(at_once):
            spawn(function)
        settle()


def test_green_threads_that_nobody_knows_are_used_again():
    seen = []

    spawn_some(lambda: seen.append(id(getcurrent())))

    assert len(seen) == 15
    assert len(set(seen)) <= 5  # what an earlier test began may have had one meanwhile


def test_green_thread_that_is_used_again_has_a_context_of_its_own():
    variable = contextvars.ContextVar("variable", default="unset")
    seen = []

    def look():
        seen.append(variable.get())
        variable.set("left behind")

    spawn_some(look)

    assert seen == ["unset"] * 15


def test_thread_locals_of_one_green_thread_are_not_seen_by_another():
    program = """
from rpcnode.concurrency import monkey_patch, sleep, spawn
monkey_patch()
import threading
local, seen = threading.local(), []

def look():
    seen.append(getattr(local, "value", "unset"))
    local.value = "left behind"

for _ in range(20):
    spawn(look)
    spawn(look)
    sleep(0)
    sleep(0)
assert seen == ["unset"] * 40, seen
"""

    result = python(program)

    assert (result.stderr, result.returncode) == ("", 0)


def test_what_is_noted_on_a_green_thread_is_not_seen_by_another():
    seen = []

    def look():
        seen.append(getattr(getcurrent(), "note", "unset"))
        getcurrent().note = "left behind"

    spawn_some(look)

    assert seen == ["unset"] * 15


def test_green_thread_that_somebody_has_stays_what_it_was():
    threads = [spawn(str, number) for number in range(3)]
    settle()
    by_thread = {thread: number for number, thread in enumerate(threads)}
    spawn_some(settle)

    assert all(thread.dead for thread in threads)
    assert [thread.wait() for thread in by_thread] == ["0", "1", "2"]
    kill(threads[0])
    assert spawn(str, 3).wait() == "3"


@pytest.mark.parametrize("is_used_again", [False, True])
def test_green_thread_can_be_killed_before_it_begins(is_used_again):
    ran, ended = [], []
    spawn_some(settle, times=int(is_used_again), at_once=1)

    thread = spawn(ran.append, 1)
    thread.link(ended.append)
    kill(thread)
    settle()

    assert thread.dead
    assert ended == [thread]
    with pytest.raises(GreenletExit):
        thread.wait()
    assert ran == []
    spawn_some(lambda: ran.append(2), times=1)
    assert ran == [2, 2, 2]


@pytest.mark.parametrize("is_used_again", [False, True])
def test_green_thread_that_has_not_begun_ends_with_what_it_is_killed_with(is_used_again, caplog):
    spawn_some(settle, times=int(is_used_again), at_once=1)

    thread = spawn(int)
    kill(thread, OSError("thrown"))

    with pytest.raises(OSError, match="thrown"):
        thread.wait()


def test_green_threads_that_end_hold_nothing():
    class Thing:
        pass

    variable = contextvars.ContextVar("variable")

    def begin():
        thing = Thing()
        variable.set(thing)
        spawn(id, thing)
        return weakref.ref(thing)

    gone = contextvars.copy_context().run(begin)
    settle()
    gc.collect()

    assert gone() is None


def test_green_threads_that_end_keep_no_result():
    class Thing:
        pass

    results = []

    def make():
        thing = Thing()
        results.append(weakref.ref(thing))
        return thing

    spawn_some(make, times=1)
    gc.collect()

    assert [gone() for gone in results] == [None] * 3


def test_what_switches_to_a_green_thread_that_has_ended_changes_nothing(caplog, capfd):
    threads, ran = [], []
    spawn(lambda: threads.append(getcurrent()))
    settle()

    call_soon(threads[0].switch)
    settle()
    spawn_some(lambda: ran.append(1), times=1)

    assert ran == [1, 1, 1]
    assert caplog.records == []
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("references", range(4))
def test_timeout_left_behind_in_a_green_thread_hits_nobody(references, caplog):
    threads, log = [], []

    def leave_behind():
        Timeout(0.005)
        threads.extend([getcurrent()] * references)

    def wait():
        sleep(0.02)
        log.append("waited")

    spawn(leave_behind)
    settle()
    waiting = spawn(wait)
    waiting.wait()
    spawn(log.append, "ran")
    settle()

    assert log == ["waited", "ran"]
    for thread in threads:
        with Timeout(5):
            assert thread.wait() is None
    assert caplog.records == []


@pytest.mark.parametrize("is_used_again", [False, True])
def test_green_thread_is_cancelled_only_before_it_begins(is_used_again):
    ran = []
    spawn_some(settle, times=int(is_used_again), at_once=1)

    cancelled = spawn(ran.append, "cancelled")
    cancelled.cancel()
    begun = spawn(lambda: (sleep(), ran.append("begun")))
    sleep()
    begun.cancel()
    settle()

    assert ran == ["begun"]
    assert cancelled.dead


def test_link_can_be_taken_back():
    ended = []
    thread = spawn(int)
    thread.link(ended.append)

    assert thread.unlink(ended.append) is True
    assert thread.unlink(ended.append) is False
    settle()

    assert ended == []


def test_green_thread_that_is_used_again_is_traced_as_a_new_one():
    seen = []

    def work():
        seen.append("ran")

    def trace(frame, event, _arg):
        if frame.f_code is work.__code__:
            seen.append(event)

    spawn_some(work, times=1)
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        spawn(work)
        settle()
    finally:
        sys.settrace(before)

    assert seen == ["ran", "ran", "ran", "call", "ran"]


def test_process_with_green_threads_that_wait_ends_and_forks_quietly():
    program = """
import os
from rpcnode.concurrency import sleep, spawn
for _ in range(3):
    spawn(int.__init__, 0)
sleep()
sleep()
child = os.fork()
log = []
spawn(log.append, 1)
sleep()
sleep()
assert log == [1]
if child:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""

    result = python(program)

    assert (result.stderr, result.returncode) == ("", 0)


def test_interrupt_in_a_timer_holds_up_no_other_one():
    program = """
from rpcnode.concurrency import call_later, sleep

def interrupt():
    raise KeyboardInterrupt

log = []
call_later(.001, interrupt)
call_later(.002, log.append, 1)
try:
    sleep(5)
except KeyboardInterrupt:
    log.append("interrupted")
while 1 not in log:
    sleep(.001)
call_later(.001, log.append, 2)
while 2 not in log:
    sleep(.001)
print(log)
"""

    assert python(program).stdout == "['interrupted', 1, 2]\n"


def test_time_that_is_no_number_is_refused_before_it_disturbs_others():
    fired = []

    with pytest.raises(ValueError, match="nan is no time"):
        call_later(float("nan"), fired.append, "never")
    with pytest.raises(ValueError, match="nan is no time"):
        Event().wait(float("nan"))
    call_later(0.001, fired.append, "fired")

    wait_until(lambda: fired == ["fired"])


def test_closing_wakes_who_waits_to_read():
    reader, writer = os.pipe()
    readable = ReadWait(reader)
    waiting = spawn(readable.wait)
    settle()

    readable.close()

    assert waiting.join(5)
    assert waiting.wait() is None
    os.close(reader)
    os.close(writer)


@pytest.mark.skipif(sys.platform != "linux", reason="only /proc shows the open files")
def test_names_that_other_native_threads_look_up_leave_nothing_behind():
    program = """
from rpcnode.concurrency import monkey_patch
monkey_patch()
import gc, os, socket
from eventlet import patcher
threading = patcher.original("threading")

def open_files():
    gc.collect()
    return len(os.listdir("/proc/self/fd"))

socket.getaddrinfo("localhost", 80)
before = open_files()
for _ in range(5):
    thread = threading.Thread(target=socket.getaddrinfo, args=("localhost", 80))
    thread.start()
    thread.join()
print(open_files() - before)
"""

    assert python(program).stdout == "0\n"


def test_green_threads_that_are_not_needed_end(monkeypatch):
    monkeypatch.setattr(threads, "IDLE_TIME", 0.05)
    idle = threads._idle

    spawn_some(sleep, times=1, at_once=300)
    wait_until(lambda: len(idle) > 250)
    wait_until(lambda: len(idle) == threads.FEW_IDLE)
    spawn_some(sleep, times=1, at_once=300)

    wait_until(lambda: len(idle) > 250)
