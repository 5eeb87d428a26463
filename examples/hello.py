from rpcnode.events import EventDispatcher, event_handler
from rpcnode.rpc import rpc


class Greeter:
    name = "greeter"
    dispatch = EventDispatcher()

    @rpc
    def hello(self, who):
        self.dispatch("greeted", {"who": who})
        return f"Hello, {who}!"


class GuestBook:
    name = "guest_book"

    @event_handler("greeter", "greeted")
    def sign(self, payload):
        print(payload["who"], "was here")
