"""A FastAPI application, in the server that its users have."""

import signal

from examples.rpc import Billing
from rpcnode.events import event_handler
from tests.hosting import hosted, wait_until
from tests.web_servers import WebServer, reply_queues

UVICORN = ["uvicorn", "--host", "127.0.0.1", "--port", "0", "--no-access-log"]


def test_routes_call_services_and_answer_when_one_is_missing(vhost_uri, management_api):
    class Packing:
        name = "packing"
        orders: list = []

        @event_handler("orders", "placed")
        def pack(self, order):
            self.orders.append(order)

    with WebServer(vhost_uri, *UVICORN, "examples.fastapi_app:app") as server:
        missing = server.post("/bills", {"amounts": [1]})
        with hosted({"AMQP_URI": vhost_uri}, Billing, Packing):
            answers = server.post_at_once("/bills", [{"amounts": [each]} for each in range(40)])
            all_at_once = server.post("/bills/all", [{"amounts": [1]}, {"amounts": [2, 3]}])
            placed = server.post("/orders", {"id": 7})
            wait_until(lambda: Packing.orders == [{"id": 7}])
            during = reply_queues(management_api, vhost_uri)

    assert missing[0] == 503
    assert "billing" in missing[1]["error"]
    assert answers == [(200, {"total": each + 1}) for each in range(40)]
    assert all_at_once == (200, {"totals": [1, 5]})
    assert placed == (202, None)
    assert len(during) == 1
    assert reply_queues(management_api, vhost_uri) == []
    assert server.process.returncode == -signal.SIGTERM  # uvicorn's way, when it has ended
