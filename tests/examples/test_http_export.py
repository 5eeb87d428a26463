"""Services under another WSGI server."""

from werkzeug.test import Client

from examples.http_export import application
from rpcnode.concurrency import run_in_native_thread


def test_services_answer_another_server():
    def ask():
        try:
            return Client(application).get("/items/pear").get_json()
        finally:
            application.close()

    outcome = run_in_native_thread(ask)
    outcome.wait(10)

    assert outcome.result() == {"sku": "pear", "quantity": 0}
