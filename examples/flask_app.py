"""A Flask application that calls services.

$ AMQP_URI=amqp://localhost gunicorn --workers 4 --threads 8 "examples.flask_app:create_app()"
"""

import os

from flask import Flask, request

from rpcnode.exceptions import BrokerUnavailable, RpcTimeout, UnknownService
from rpcnode.standalone.events import event_dispatcher
from rpcnode.standalone.rpc import ClusterRpcProxy


def create_app():
    app = Flask(__name__)
    config = {"AMQP_URI": os.environ["AMQP_URI"]}
    # One client for the process. It connects when it is used first, not here: the server may
    # fork later. Starting what is started changes nothing; the end of the process ends it.
    client = ClusterRpcProxy(config, timeout=5)
    dispatch = event_dispatcher(config)

    @app.post("/bills")
    def bill():
        rpc = client.start(wait=False)
        return {"total": rpc.billing.total(request.json["amounts"], tax=1)}

    @app.post("/orders")
    def place_order():
        dispatch("orders", "placed", request.json)
        return {}, 202

    @app.errorhandler(RpcTimeout)
    def is_too_late(error):
        return {"error": str(error)}, 504

    @app.errorhandler(UnknownService)
    @app.errorhandler(BrokerUnavailable)
    def is_not_there(error):
        return {"error": str(error)}, 503

    return app
