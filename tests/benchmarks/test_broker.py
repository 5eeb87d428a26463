"""The broker that all peers are measured with."""

import subprocess
import sys
from urllib.parse import urlsplit

import amqp
import pytest

from benchmarks.broker import Broker, erlang_options
from benchmarks.kinds.copies import channel, fill
from benchmarks.process import PeerFailed

WAIT = "import time; print(flush=True); time.sleep(60)"  # longer than the test, which kills it


def test_options_of_erlang_are_those_before_the_arguments_of_its_program():
    command = [sys.executable, "-c", WAIT, "--", "-boot"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        process.stdout.readline()  # it has begun: before, its arguments may not be there yet
        found = erlang_options(process.pid)
        process.kill()

    assert found == f"-c {WAIT}"


def test_each_measurement_has_a_virtual_host_that_is_gone_afterwards(rabbit_server, management_api):
    server = Broker(rabbit_server, None)

    with server.virtual_host() as uri:
        name = urlsplit(uri).path[1:]
        during = [each["name"] for each in management_api.request("GET", "vhosts")]
    after = [each["name"] for each in management_api.request("GET", "vhosts")]

    assert name in during
    assert name not in after


def test_facts_say_what_the_broker_is(rabbit_server):
    facts = Broker(rabbit_server, None).facts()

    assert facts.keys() == {"rabbitmq", "erlang", "rates_mode"}
    assert all(facts.values())


def test_a_queue_is_filled_with_copies_of_its_one_message(vhost_uri):
    with channel(vhost_uri) as opened:
        opened.queue_declare("full", durable=True, auto_delete=False)
        opened.confirm_select()
        event = amqp.Message('{"sent": "1.0"}', content_type="application/json", message_id="one")
        opened.basic_publish_confirm(event, routing_key="full")

    fill(vhost_uri, "full", 5)

    with channel(vhost_uri) as opened:
        found = [opened.basic_get("full", no_ack=True) for _ in range(6)]
    assert [each.body for each in found[:5]] == ['{"sent": "1.0"}'] * 5
    assert {each.properties["content_type"] for each in found[:5]} == {"application/json"}
    assert len({each.properties["message_id"] for each in found[:5]}) == 5
    assert found[5] is None


def test_a_queue_without_a_message_cannot_be_filled(vhost_uri):
    with channel(vhost_uri) as opened:
        opened.queue_declare("empty", durable=True, auto_delete=False)

    with pytest.raises(PeerFailed, match="no event is in the queue 'empty'"):
        fill(vhost_uri, "empty", 5)
