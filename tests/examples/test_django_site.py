"""A Django site, its views in threads and in event loops."""

from examples.rpc import Billing
from tests.hosting import hosted
from tests.web_servers import WebServer, reply_queues

GUNICORN = ["gunicorn", "--bind", "127.0.0.1:0", "--preload", "--threads", "4"]
UVICORN = ["uvicorn", "--host", "127.0.0.1", "--port", "0", "--no-access-log"]
SITE = "examples.django_site"
ORDERS = [[1], [2, 3], []]


def test_views_call_services_and_answer_when_one_is_missing(vhost_uri, management_api):
    with WebServer(vhost_uri, *GUNICORN, f"{SITE}:application") as server:
        missing = server.post("/bills", {"amounts": [1]})
        with hosted({"AMQP_URI": vhost_uri}, Billing):
            answers = server.post_at_once("/bills", [{"amounts": [each]} for each in range(40)])
            # Each request has an event loop of its own here, and all share the client.
            all_at_once = server.post_at_once("/bills/all", [{"orders": ORDERS}] * 20)
            during = reply_queues(management_api, vhost_uri)

    assert missing[0] == 503
    assert "billing" in missing[1]["error"]
    assert answers == [(200, {"total": each + 1}) for each in range(40)]
    assert all_at_once == [(200, {"totals": [1, 5, 0]})] * 20
    assert len(during) == 2
    assert reply_queues(management_api, vhost_uri) == []
    assert server.process.returncode == 0


def test_views_call_services_in_a_server_of_asyncio(vhost_uri):
    server = WebServer(vhost_uri, *UVICORN, f"{SITE}:asgi_application")
    with hosted({"AMQP_URI": vhost_uri}, Billing), server:
        answers = server.post_at_once("/bills", [{"amounts": [each]} for each in range(20)])
        all_at_once = server.post_at_once("/bills/all", [{"orders": ORDERS}] * 20)

    assert answers == [(200, {"total": each + 1}) for each in range(20)]
    assert all_at_once == [(200, {"totals": [1, 5, 0]})] * 20
