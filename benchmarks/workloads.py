"""What is measured: how many calls are in flight, what they carry, how they are answered."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FEWEST_CLIENT_WORKERS = 10  # what the frameworks have unless told otherwise


@dataclass(frozen=True)
class Workload:
    """Calls of one method of a service; as soon as one has its reply the next is made.

    `config` is for the service and the client, `service_config` for the service alone; the rest
    is as the frameworks have it unless told otherwise. `payload_size` is in bytes of JSON.
    """

    name: str
    in_flight: int
    service_config: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    payload_size: int = 100

    def payload(self) -> dict[str, Any]:
        """Return the one argument of a call, which is also its result."""
        order = {"order": 12345, "sku": "plum", "quantity": 3, "price": 1.25, "note": ""}
        return order | {"note": "x" * (self.payload_size - len(json.dumps(order)))}

    def client_config(self) -> dict[str, Any]:
        """Return the client's configuration: it has a worker for each call in flight."""
        return {**self.config, "max_workers": max(FEWEST_CLIENT_WORKERS, self.in_flight)}


ENOUGH_WORKERS = {"max_workers": 100}
BUSY = Workload("100 in flight", 100, ENOUGH_WORKERS)  # the one with an aim
WORKLOADS = (
    Workload("1 in flight", 1, ENOUGH_WORKERS),
    BUSY,
    Workload("100 in flight, persistent", 100, ENOUGH_WORKERS, {"RPC_PERSISTENT": True}),
    Workload("100 in flight, default workers", 100),
)
