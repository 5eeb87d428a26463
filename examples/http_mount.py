"""An application of old beside new routes: `rpcnode run examples.http_mount --broker memory://`."""

from werkzeug.wrappers import Request, Response

from rpcnode.http import HttpRequestHandler, WsgiMount, http
from rpcnode.web.server import WebServer


@Request.application
def old_application(request):
    """Stand for what Flask or Django make."""
    return Response(f"the old page {request.path}, mounted at {request.script_root}")


class Site:
    name = "site"
    old = WsgiMount("/old", old_application)

    @http("GET", "/old/status")
    def status(self, request):
        return {"status": "this one is new"}


class Poweredby:
    """A WSGI middleware: it says in every answer what made it."""

    def __init__(self, application):
        self.application = application

    def __call__(self, environ, start_response):
        def start(status, headers, exc_info=None):
            return start_response(status, [*headers, ("X-Powered-By", "plums")], exc_info)

        return self.application(environ, start)


class PoweredServer(WebServer):
    def get_wsgi_app(self):
        return Poweredby(super().get_wsgi_app())


class PoweredHandler(HttpRequestHandler):
    server = PoweredServer()


class Powered:
    name = "powered"

    @PoweredHandler.decorator("GET", "/powered")
    def page(self, request):
        return "a page"
