"""What is used of eventlet and greenlet: the only module that imports them."""

import os
import warnings
from typing import Any

with warnings.catch_warnings():
    # Eventlet announces its retirement at each import; docs/concurrency.md says what we make
    # of it. A user's own filters stay as they are.
    warnings.simplefilter("ignore")
    # Eventlet would look names up with dnspython, whose 200 modules take a fifth of a service's
    # memory and half of its start. The system's resolver does it here, in native threads.
    os.environ.setdefault("EVENTLET_NO_GREENDNS", "yes")
    import eventlet
    from eventlet import greenthread, hubs, patcher
    from eventlet.green import socket, ssl
    from eventlet.queue import Empty, LightQueue
    from eventlet.semaphore import Semaphore
    from eventlet.timeout import Timeout
    from greenlet import GreenletExit, getcurrent, greenlet

__all__ = [
    "Empty",
    "GreenletExit",
    "LightQueue",
    "Semaphore",
    "Timeout",
    "eventlet",
    "getcurrent",
    "greenlet",
    "greenthread",
    "hubs",
    "native_queue",
    "native_socket",
    "native_threading",
    "patcher",
    "socket",
    "ssl",
]

native_socket: Any = patcher.original("socket")  # for sockets that the hub watches
native_threading: Any = patcher.original("threading")
native_queue: Any = patcher.original("queue")
