"""What Nameko's pages show of RPC: a method, a proxy, a call in advance, errors, several hops."""

import pytest

from rpcnode.contextdata import Language
from rpcnode.exceptions import MethodNotFound, RemoteError, UnknownService
from rpcnode.extensions import DependencyProvider
from rpcnode.rpc import RpcProxy, rpc
from rpcnode.testing.services import entrypoint_hook


class Dictionary:
    name = "dictionary"
    language = Language()

    words = {"en": "plum", "fr": "prune"}

    @rpc
    def translate(self, word):
        if word != "plum":
            raise KeyError(word)
        return self.words[self.language or "en"]


class Translator:
    name = "translator"
    dictionary = RpcProxy("dictionary")
    nobody = RpcProxy("nobody")

    @rpc
    def translate(self, text):
        return [self.dictionary.translate(word) for word in text.split()]

    @rpc
    def translate_at_once(self, text):
        replies = [self.dictionary.translate.call_async(word) for word in text.split()]
        return [reply.result() for reply in replies]

    @rpc
    def ask_nobody(self):
        return self.nobody.translate("plum")

    @rpc
    def ask_wrongly(self):
        return self.dictionary.spell("plum")


@pytest.fixture
def translator(runner_factory, memory_config):
    runner = runner_factory(memory_config, Translator, Dictionary)
    runner.start()
    return runner.service_map["translator"]


def test_service_greets(container_factory, memory_config):
    class Greeting:
        name = "greeting_service"

        @rpc
        def hello(self, name):
            return f"Good day, {name}."

    container = container_factory(Greeting, memory_config)
    container.start()

    with entrypoint_hook(container, "hello") as hello:
        assert hello("Ada") == "Good day, Ada."


def test_one_service_calls_another_through_a_proxy(translator):
    with entrypoint_hook(translator, "translate") as translate:
        assert translate("plum plum") == ["plum", "plum"]


def test_calls_are_made_in_advance_and_their_results_asked_for_later(translator):
    with entrypoint_hook(translator, "translate_at_once") as translate:
        assert translate("plum plum plum") == ["plum"] * 3


def test_error_of_the_other_service_arrives_with_its_type_and_text(translator):
    with entrypoint_hook(translator, "translate") as translate:
        with pytest.raises(RemoteError) as caught:
            translate("pear")

    assert caught.value.exc_type == "KeyError"
    assert caught.value.value == "'pear'"


def test_service_and_method_that_do_not_exist_are_told(translator):
    with entrypoint_hook(translator, "ask_nobody") as ask, pytest.raises(UnknownService):
        ask()
    with entrypoint_hook(translator, "ask_wrongly") as ask, pytest.raises(MethodNotFound):
        ask()


def test_language_travels_with_the_call(translator):
    with entrypoint_hook(translator, "translate", {"language": "fr"}) as translate:
        assert translate("plum") == ["prune"]


class CallLog(DependencyProvider):
    """Injects nothing, and notes every call id with that of its caller."""

    def setup(self):
        self.seen = self.container.config["SEEN"]

    def worker_setup(self, worker_ctx):
        self.seen.append((worker_ctx.immediate_parent_call_id, worker_ctx.call_id))


def test_trail_of_calls_is_known_at_each_step(runner_factory, memory_config):
    class Inner:
        name = "inner"
        log = CallLog()

        @rpc
        def method(self): ...

    class Outer:
        name = "outer"
        log = CallLog()
        inner = RpcProxy("inner")

        @rpc
        def method(self):
            self.inner.method()

    seen = []
    runner = runner_factory({**memory_config, "SEEN": seen}, Outer, Inner)
    runner.start()

    with entrypoint_hook(runner.service_map["outer"], "method") as method:
        method()

    (nobody, outer), (parent, inner) = seen
    assert nobody is None
    assert parent == outer
    assert outer.startswith("outer.method.")
    assert inner.startswith("inner.method.")


class Denied(Exception):
    """Raised when a caller may not do what it asks for."""


class Authentication(DependencyProvider):
    """Injects a function that lets a user in: what it notes travels with further calls."""

    def get_dependency(self, worker_ctx):
        def enter(user):
            worker_ctx.data["roles"] = ["admin"] if user == "root" else []

        return enter


class Authorisation(DependencyProvider):
    """Injects a function that refuses who lacks a role."""

    def get_dependency(self, worker_ctx):
        def insist_on(role):
            if role not in worker_ctx.context_data.get("roles", ()):
                raise Denied(role)

        return insist_on


class Door:
    name = "door"
    enter = Authentication()
    vault = RpcProxy("vault")

    @rpc
    def open_vault(self, user):
        self.enter(user)
        return self.vault.open()


class Vault:
    name = "vault"
    insist_on = Authorisation()

    @rpc(expected_exceptions=Denied)
    def open(self):
        self.insist_on("admin")
        return "gold"


def test_who_was_let_in_here_is_known_over_there(runner_factory, memory_config):
    runner = runner_factory(memory_config, Door, Vault)
    runner.start()

    with entrypoint_hook(runner.service_map["door"], "open_vault") as open_vault:
        assert open_vault("root") == "gold"
        with pytest.raises(RemoteError, match="Denied"):
            open_vault("guest")
