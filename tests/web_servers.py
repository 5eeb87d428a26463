"""Servers of other people's web frameworks, each a process of its own that nothing has patched."""

import json
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self
from urllib.error import HTTPError
from urllib.parse import unquote
from urllib.request import Request, urlopen

from tests.hosting import wait_until
from tests.management_api import ManagementApi, quoted
from tests.rabbitmq_server import bound_to_this_process

ROOT = Path(__file__).parent.parent
LISTENING = re.compile(r"(?:Listening at:|running on) (http://127\.0\.0\.1:\d+)")
PATIENCE = 30  # seconds, for starting and for ending


def reply_queues(api: ManagementApi, uri: str) -> list[str]:
    """Return the names of the reply queues of clients; there is one for each."""
    vhost = quoted(unquote(uri.rpartition("/")[2]))
    names = [each["name"] for each in api.request("GET", f"queues/{vhost}")]
    return [name for name in names if name.startswith("rpc.reply-standalone")]


class WebServer:
    """A server that runs as long as the block; its broker is at `uri`."""

    def __init__(self, uri: str, *command: str) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._written = Path(self._folder.name, "written")
        with self._written.open("wb") as written:
            self.process = subprocess.Popen(
                [*bound_to_this_process(), sys.executable, "-m", *command],
                cwd=ROOT,
                # gunicorn leaves things at home.
                env={**os.environ, "AMQP_URI": uri, "HOME": self._folder.name},
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=written,
            )

    def __enter__(self) -> Self:
        try:
            self.address = wait_until(self._listening_at, seconds=PATIENCE)
        except BaseException:  # nobody will come to end it
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exc: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            print(self.written())
            self._folder.cleanup()

    def post(self, path: str, value: Any) -> tuple[int, Any]:
        """Send a value; return the status and what the answer says."""
        body = json.dumps(value).encode()
        request = Request(self.address + path, body, {"Content-Type": "application/json"})
        try:
            with urlopen(request, timeout=PATIENCE) as response:
                return response.status, json.load(response)
        except HTTPError as error:
            return error.code, json.load(error)

    def post_at_once(self, path: str, values: list[Any]) -> list[tuple[int, Any]]:
        """Send several values at the same time; return what `post` does."""
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(self.post, [path] * len(values), values))

    def written(self) -> str:
        """Return what the server has written so far."""
        return self._written.read_text(errors="replace")

    def _listening_at(self) -> str | None:
        assert self.process.poll() is None, self.written()
        found = LISTENING.search(self.written())
        return found[1] if found else None
