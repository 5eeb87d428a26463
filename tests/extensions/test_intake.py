"""The way of a delivery to a worker."""

import pytest

from rpcnode.concurrency import Event, GreenletExit, kill, sleep
from rpcnode.exceptions import ContainerBeingKilled
from rpcnode.extensions import intake
from rpcnode.extensions.intake import Intake, Terms
from rpcnode.lanes import Lane, WaitingRoom
from tests.hosting import wait_until


class Channel:
    connection = object()


class Delivery:
    """A delivery that remembers how it was settled."""

    def __init__(self, message_id="1", body=b"body", channel=None, redelivered=False):
        self.id, self.body, self.is_redelivery = message_id, body, redelivered
        self.headers = {}
        self.channel = channel or Channel()
        self.properties, self.queue, self.settled = {}, "queue", []

    def ack(self):
        self.settled.append("ack")

    def requeue(self):
        self.settled.append("requeue")


@pytest.fixture
def lane():
    return Lane("lane", 1)


@pytest.fixture(autouse=True)
def _no_delay(monkeypatch):
    monkeypatch.setattr(intake, "REQUEUE_DELAY", 0)


def running(desk, lane, delivery):
    """Submit a delivery whose worker waits; return what ends it with an ack."""
    entered, end = Event(), Event()

    def work(job):
        entered.set()
        end.wait()
        job.ack()

    desk.submit(lane, delivery, work)
    assert entered.wait(5)
    return end


def test_job_acks_its_delivery(lane):
    desk, delivery = Intake(), Delivery()

    desk.submit(lane, delivery, lambda job: job.ack())

    wait_until(lambda: delivery.settled == ["ack"])


def test_redelivery_of_what_runs_takes_its_place(lane):
    desk, first, second = Intake(), Delivery(), Delivery(redelivered=True)
    end = running(desk, lane, first)

    desk.submit(lane, second, lambda job: pytest.fail("it was run twice"))
    end.set()

    wait_until(lambda: second.settled == ["ack"])
    assert first.settled == []
    assert desk.taken_over == 1


def lose(delivery):
    """Lose the channel of a delivery, and with it the ack."""
    delivery.channel = Channel()
    delivery.channel.connection = None


def test_redelivery_of_what_is_done_is_acked_and_not_run(lane):
    desk, first, second = Intake(), Delivery(), Delivery(redelivered=True)
    end = running(desk, lane, first)
    lose(first)
    end.set()
    assert lane.wait(5)

    desk.submit(lane, second, lambda job: pytest.fail("it was run twice"))

    assert second.settled == ["ack"]
    assert desk.taken_over == 1
    assert desk._running == {}


def test_what_is_done_is_known_for_a_while_only(lane, monkeypatch):
    monkeypatch.setattr(intake, "REMEMBERED", 0)
    desk, first, second = Intake(), Delivery(), Delivery(redelivered=True)
    end = running(desk, lane, first)
    lose(first)
    end.set()
    wait_until(lambda: not desk._running)

    desk.submit(lane, second, lambda job: job.ack())

    wait_until(lambda: second.settled == ["ack"])
    assert desk.taken_over == 0


@pytest.mark.parametrize(
    "other",
    [
        {"redelivered": False},
        {"redelivered": True, "body": b"another"},
        {"redelivered": True, "message_id": "2"},
        {"redelivered": True, "message_id": None},
    ],
)
def test_what_only_looks_like_a_redelivery_runs(lane, other):
    desk, first, second = Intake(), Delivery(), Delivery(**other)
    end = running(desk, lane, first)

    desk.submit(lane, second, lambda job: job.ack())
    end.set()

    wait_until(lambda: first.settled == second.settled == ["ack"])
    assert desk.taken_over == 0


def test_message_that_was_dealt_with_runs_when_it_comes_again(lane):
    desk, first, second = Intake(), Delivery(), Delivery(redelivered=True)
    desk.submit(lane, first, lambda job: job.ack())
    wait_until(lambda: first.settled)

    desk.submit(lane, second, lambda job: job.ack())

    wait_until(lambda: second.settled == ["ack"])


def test_delivery_whose_channel_is_gone_is_not_started(lane):
    desk, first, waiting = Intake(), Delivery(), Delivery("2")
    end = running(desk, lane, first)
    desk.submit(lane, waiting, lambda job: pytest.fail("the broker gave it to somebody else"))
    waiting.channel.connection = None
    end.set()

    wait_until(lambda: waiting.settled == ["requeue"])


def test_closing_lane_requeues_what_waits(lane):
    desk, first, waiting = Intake(), Delivery(), Delivery("2")
    end = running(desk, lane, first)
    desk.submit(lane, waiting, lambda job: job.ack())

    lane.drop_pending()
    end.set()

    wait_until(lambda: first.settled == ["ack"])
    assert waiting.settled == ["requeue"]


def test_killed_worker_s_message_is_requeued(lane):
    desk, delivery = Intake(), Delivery()
    running(desk, lane, delivery)
    (thread,) = lane.threads

    kill(thread)

    wait_until(lambda: delivery.settled == ["requeue"])


def test_killed_worker_s_message_is_left_when_it_is_answered(lane):
    desk, delivery = Intake(), Delivery()

    def work(job):
        job.is_answered = True
        raise GreenletExit

    desk.submit(lane, delivery, work)
    wait_until(lambda: not lane.threads)
    sleep(0.01)

    assert delivery.settled == []


def test_container_that_is_killed_gives_back_the_message(lane):
    desk, delivery = Intake(), Delivery()

    def work(job):
        raise ContainerBeingKilled

    desk.submit(lane, delivery, work)

    wait_until(lambda: delivery.settled == ["requeue"])


def test_bug_costs_no_message(lane, caplog):
    desk, delivery = Intake(), Delivery()

    desk.submit(lane, delivery, lambda job: 1 / 0)

    wait_until(lambda: delivery.settled == ["requeue"])
    assert "queue 'queue' failed; it is requeued" in caplog.text


def test_nothing_is_remembered_of_what_is_settled(lane):
    desk = Intake()
    for number in range(10):
        desk.submit(lane, Delivery(str(number)), lambda job: job.ack())

    wait_until(lambda: not desk._running)


def test_job_that_finds_no_room_is_for_its_owner(lane):
    desk, first, second = Intake(), Delivery(), Delivery("2")
    terms = Terms(WaitingRoom(limit=0))
    end = running(desk, lane, first)

    job = desk.submit(lane, second, lambda job: pytest.fail("there was no room"), terms)
    end.set()

    assert job.delivery is second
    assert second.settled == []
    job.ack()
    assert second.settled == ["ack"]


def test_redelivery_of_what_runs_takes_its_place_where_there_is_no_room(lane):
    desk, first, second = Intake(), Delivery(), Delivery(redelivered=True)
    end = running(desk, lane, first)

    assert desk.submit(lane, second, lambda job: None, Terms(WaitingRoom(limit=0))) is None
    end.set()

    wait_until(lambda: second.settled == ["ack"])


def test_owner_may_give_back_what_was_not_started(lane):
    desk, first, waiting, given = Intake(), Delivery(), Delivery("2"), []
    end = running(desk, lane, first)
    desk.submit(lane, waiting, lambda job: job.ack(), Terms(WaitingRoom(), given.append))

    lane.drop_pending()
    end.set()

    assert [job.delivery for job in given] == [waiting]
    assert waiting.settled == []


def test_delivery_that_waits_too_long_is_requeued(lane):
    desk, first, waiting = Intake(max_wait=0.1), Delivery(), Delivery("2")
    end = running(desk, lane, first)
    desk.submit(lane, waiting, lambda job: job.ack())

    wait_until(lambda: waiting.settled == ["requeue"])
    end.set()


@pytest.mark.parametrize("redelivered", [False, True])
def test_redelivery_of_what_was_lost_unstarted_has_not_run(lane, redelivered):
    desk, jobs = Intake(), []
    first, waiting = Delivery(), Delivery("2", redelivered=redelivered)
    end = running(desk, lane, first)
    desk.submit(lane, waiting, lambda job: pytest.fail("its channel is gone"))
    lose(waiting)
    end.set()
    wait_until(lambda: waiting.settled)

    desk.submit(lane, Delivery("2", redelivered=True), jobs.append)

    wait_until(lambda: jobs)
    assert jobs[0].may_have_run is redelivered
    assert desk.taken_over == 0
