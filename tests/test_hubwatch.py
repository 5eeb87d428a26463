"""The watch over the hub: it tells what keeps green threads from their turn."""

import logging
import re
from time import monotonic

import pytest

from rpcnode import hubwatch
from rpcnode.concurrency import sleep
from rpcnode.hubwatch import HubWatch
from tests.hosting import wait_until


@pytest.fixture
def watch(monkeypatch):
    monkeypatch.setattr(hubwatch, "PERIOD", 0.02)
    monkeypatch.setattr(hubwatch, "LIMIT", 0.2)
    watch = HubWatch()
    watch.start()
    yield watch
    watch.stop()


def seconds_in(record):
    return float(re.search(r"nothing else could run for ([\d.]+) s", record.getMessage())[1])


def compute_for(seconds):
    end = monotonic() + seconds
    while monotonic() < end:
        pass


def test_what_keeps_the_hub_is_named_with_its_line(watch, caplog):
    compute_for(0.4)
    wait_until(lambda: caplog.records)

    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert seconds_in(record) > 0.3
    assert "in compute_for" in caplog.text
    assert "test_hubwatch.py" in caplog.text


def test_each_hold_up_is_told_once_with_its_own_stack(watch, caplog):
    compute_for(0.4)
    wait_until(lambda: len(caplog.records) == 1)

    def hold_up():
        compute_for(0.4)

    hold_up()
    wait_until(lambda: len(caplog.records) == 2)

    assert [seconds_in(record) > 0.2 for record in caplog.records] == [True, True]
    assert "in hold_up" not in caplog.records[0].getMessage()
    assert "in hold_up" in caplog.records[1].getMessage()


def test_pauses_and_short_work_are_no_matter(watch, caplog, monkeypatch):
    monkeypatch.setattr(hubwatch, "LIMIT", 0.5)
    end = monotonic() + 0.8
    while monotonic() < end:
        compute_for(0.05)
        sleep(0.01)

    assert caplog.records == []


def test_stopped_watch_says_nothing(watch, caplog):
    watch.stop()
    watch.stop()
    compute_for(0.3)
    sleep(0.05)

    assert caplog.records == []


def test_watch_that_is_started_twice_watches_once(watch, caplog):
    watch.start()
    compute_for(0.4)
    wait_until(lambda: caplog.records)
    sleep(0.05)

    assert len(caplog.records) == 1
