"""Entrypoints that fire at moments in the life of a container."""

from rpcnode.extensions.base import Entrypoint


class OnStart(Entrypoint):
    """Fires once, when everything in the container has started, in each instance of a service.

    It runs beside whatever comes in, as any worker does; its errors are logged, and the
    service goes on.
    """

    def setup(self) -> None:
        """Check the method; ConfigurationError when it wants arguments."""
        self.check_takes_nothing()

    def start(self) -> None:
        """Wait, without holding up the others that start."""
        self.container.spawn_managed_thread(self._fire, repr(self))

    def _fire(self) -> None:
        self.container.ready.wait()
        self.lane.submit(lambda: self.container.run_worker(self, (), {}), _forget)


def _forget() -> None:
    """Do nothing: a container that stops so early does not do its work of the start."""


on_start = OnStart.decorator
