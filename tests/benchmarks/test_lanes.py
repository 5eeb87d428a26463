"""The benchmark of lanes."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_fast_calls_are_measured_alone_and_beside_a_saturated_lane(vhost_uri):
    command = [sys.executable, "-m", "benchmarks.lanes", "--uri", vhost_uri]
    done = subprocess.run(
        [*command, "--rounds", "1", "--seconds", "0.5"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    figures = r"\d+\.\d\d \| \d+\.\d\d \| \d+\.\d \| \d+ \|"
    assert re.search(rf"^\| alone \| {figures}$", done.stdout, re.MULTILINE)
    assert re.search(rf"^\| beside a saturated lane \| {figures}$", done.stdout, re.MULTILINE)
    slow = re.search(r"slow calls: (\d+) done, (\d+) answered TooBusy", done.stdout)
    assert slow is not None
    assert all(int(count) > 0 for count in slow.groups())
    assert re.search(r"p99: \d+\.\d\d times that alone", done.stdout)
