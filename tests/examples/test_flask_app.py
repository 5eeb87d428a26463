"""A Flask application, in a server that forks after it has loaded the application."""

from examples.rpc import Billing
from rpcnode.events import event_handler
from tests.hosting import hosted, wait_until
from tests.web_servers import WebServer, reply_queues

GUNICORN = ["gunicorn", "--bind", "127.0.0.1:0", "--preload", "--workers", "2", "--threads", "4"]


def test_processes_and_their_threads_call_services_and_answer_when_one_is_missing(
    vhost_uri, management_api
):
    class Packing:
        name = "packing"
        orders: list = []

        @event_handler("orders", "placed")
        def pack(self, order):
            self.orders.append(order)

    with WebServer(vhost_uri, *GUNICORN, "examples.flask_app:create_app()") as server:
        missing = server.post("/bills", {"amounts": [1]})
        with hosted({"AMQP_URI": vhost_uri}, Billing, Packing):
            answers = server.post_at_once("/bills", [{"amounts": [each]} for each in range(40)])
            placed = server.post("/orders", {"id": 7})
            wait_until(lambda: Packing.orders == [{"id": 7}])
            during = reply_queues(management_api, vhost_uri)

    assert missing[0] == 503
    assert "billing" in missing[1]["error"]
    assert answers == [(200, {"total": each + 1}) for each in range(40)]
    assert placed == (202, {})
    assert 1 <= len(during) <= 2  # one for each process that was used
    assert reply_queues(management_api, vhost_uri) == []
    assert server.process.returncode == 0
