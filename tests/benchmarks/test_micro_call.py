"""What a call costs, step by step."""

import json
import subprocess
import sys

import pytest

from benchmarks.micro.steps import REST, step_of
from benchmarks.peer import ROOT


@pytest.mark.parametrize("side", ["client", "service"])
def test_steps_make_up_the_whole(vhost_uri, side):
    command = [sys.executable, "-m", "benchmarks.micro.call", "--calls", "500"]

    done = subprocess.run(
        [*command, "--side", side, "--uri", vhost_uri],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
    )

    found = json.loads(done.stdout)
    assert found["side"] == side
    assert 5 < found["us"] < 5000
    assert sum(found["steps"].values()) == pytest.approx(found["us"])


@pytest.mark.parametrize(
    ("file", "function", "step"),
    [
        ("/x/rpcnode/amqp/codec.py", "_frames", "frames out: encode a publish"),
        ("/x/rpcnode/amqp/codec.py", "read_delivery", "frames in: read deliveries and confirms"),
        ("/x/rpcnode/amqp/codec.py", "write_ack", "acks"),
        ("/x/site-packages/amqp/channel.py", "Channel._on_basic_ack", "confirms"),
        ("/x/rpcnode/amqp/channel.py", "Channel.deliver", "from the channel to the handler"),
        ("/x/site-packages/eventlet/hubs/hub.py", "BaseHub.run", "eventlet's hub"),
        ("/x/rpcnode/concurrency/loop.py", "Loop.add", "green threads, timers, events"),
        ("/x/anything.py", "anything", REST),
    ],
)
def test_function_belongs_to_one_step(file, function, step):
    assert step_of(file, function) == step
