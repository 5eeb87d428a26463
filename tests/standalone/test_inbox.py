"""The way of tasks from any thread to one."""

import select

from rpcnode.standalone.inbox import Inbox


def is_woken(inbox):
    return bool(select.select([inbox.fileno()], [], [], 0)[0])


def test_tasks_come_out_in_their_order():
    inbox = Inbox()
    inbox.put(print, 1)
    inbox.put(print, 2)

    tasks = inbox.take()

    assert tasks == [(print, 1), (print, 2)]
    assert inbox.take() == []


def test_only_a_thread_that_sleeps_is_woken():
    inbox = Inbox()
    inbox.put(print)
    while_awake = is_woken(inbox)
    may_sleep_with_a_task = inbox.may_sleep()
    inbox.take()
    may_sleep = inbox.may_sleep()
    asleep = is_woken(inbox)
    inbox.put(print)
    inbox.put(print)
    with_a_task = is_woken(inbox)
    inbox.clear_wakes()
    inbox.woken()

    assert (while_awake, asleep, with_a_task) == (False, False, True)
    assert (may_sleep_with_a_task, may_sleep) == (False, True)
    assert not is_woken(inbox)


def test_closed_inbox_takes_nothing_and_keeps_what_it_has():
    inbox = Inbox()
    inbox.put(print, "before")
    inbox.close()

    assert not inbox.put(print, "after")
    assert inbox.take() == [(print, "before")]


def test_inbox_that_is_let_go_of_can_still_be_given_to():
    inbox = Inbox()
    inbox.may_sleep()
    inbox.forget()

    assert inbox.put(print)
