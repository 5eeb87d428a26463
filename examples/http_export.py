"""Services under another WSGI server: `gunicorn --threads 8 examples.http_export:application`."""

from examples.http_api import Shop, Stock
from rpcnode.wsgi import WsgiExport

application = WsgiExport(Shop, Stock, config={"AMQP_URI": "memory://"})
