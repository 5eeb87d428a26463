"""The HTTP side of a container, under the name that Nameko's users know."""

from rpcnode.extensions.http import WebServer, WsgiApp
from rpcnode.httpd.address import BindAddress, parse_address

__all__ = ["BindAddress", "WebServer", "WsgiApp", "parse_address"]
