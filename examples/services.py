"""The life of a worker, and of the container that runs it."""

from rpcnode.extensions import DependencyProvider
from rpcnode.rpc import rpc


class Diary(DependencyProvider):
    """Writes down when its hooks are called."""

    def setup(self):
        self.lines = ["setup"]

    def start(self):
        self.lines.append("start")

    def stop(self):
        self.lines.append("stop")

    def get_dependency(self, worker_ctx):
        self.lines.append("get_dependency")
        return self.lines.append

    def worker_setup(self, worker_ctx):
        self.lines.append("worker_setup")

    def worker_complete(self, worker_ctx, result=None, exc_info=None):
        self.lines.append("worker_complete")

    def worker_result(self, worker_ctx, result=None, exc_info=None):
        self.lines.append("worker_result")

    def worker_teardown(self, worker_ctx):
        self.lines.append("worker_teardown")


class Writer:
    name = "writer"
    note = Diary()

    def __init__(self):
        self.words = []  # of this worker alone: the next one gets a new instance

    @rpc
    def write(self, word):
        self.words.append(word)
        self.note(f"write {self.words}")
        return self.words

    @rpc
    def spell(self, word):
        yield from word
