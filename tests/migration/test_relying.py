"""Code that relies on what means something else in rpcnode is found, and its like is not."""

import pytest

from rpcnode.migration.rules import RULES

RPC = "from rpcnode.rpc import rpc, RpcProxy, ServiceRpc\n"
EVENTS = "from nameko.events import event_handler, BROADCAST, EventDispatcher\n"
MESSAGING = "from nameko.messaging import consume, Publisher\n"
CLIENT = "from rpcnode.standalone.rpc import ClusterRpcProxy\n"
ERRORS = "from nameko.exceptions import RpcTimeout\n"

RELIES = [
    ("dropped-reply", "self.mail.send.call_async('a')\n"),
    ("dropped-reply", EVENTS + "def f(self):\n    self.mail['send'].call_async()\n"),
    ("requeue-on-error", EVENTS + "@event_handler('a', 'b', requeue_on_error=True)\ndef f(): 0\n"),
    ("requeue-on-error", EVENTS + "event_handler('a', 'b', BROADCAST, False, True)\n"),
    ("requeue-on-error", MESSAGING + "consume(queue, True)\n"),
    ("requeue-on-error", "import nameko.messaging as m\nm.consume(q, requeue_on_error=True)\n"),
    ("config-is-read-only", EVENTS + "self.container.config['A'] = 1\n"),
    ("config-is-read-only", EVENTS + "del worker_ctx.config['A']\n"),
    ("config-is-read-only", EVENTS + "container.config.update(a=1)\n"),
    ("context-data", EVENTS + "worker_ctx.context_data['user'] = 1\n"),
    ("broadcast-queue", EVENTS + "event_handler('a', 'b', BROADCAST, False)\n"),
    (
        "broadcast-queue",
        EVENTS + "event_handler('a', 'b', handler_type=BROADCAST, reliable_delivery=False)\n",
    ),
    ("worker-result", RPC + "class A:\n  def worker_result(self, worker_ctx): ...\n"),
    ("client-timeout", CLIENT + "proxy = ClusterRpcProxy(config)\n"),
    ("client-per-thread", CLIENT + "def f():\n    with ClusterRpcProxy(config, timeout=1): ...\n"),
    ("call-timeout", RPC + "class A:\n    b = RpcProxy('b')\n"),
    ("catches-timeout", ERRORS + "try: f()\nexcept (KeyError, RpcTimeout): g()\n"),
    ("eventlet-timeout", EVENTS + "import eventlet\nwith eventlet.Timeout(3): f()\n"),
    ("eventlet-timeout", EVENTS + "from eventlet import Timeout\n"),
    ("eventlet-patch", EVENTS + "import eventlet\neventlet.monkey_patch()\n"),
    ("async-method", RPC + "class A:\n    @rpc\n    async def f(self): ...\n"),
    ("async-method", EVENTS + "class A:\n  @event_handler('a', 'b')\n  async def f(self): 0\n"),
    (
        "werkzeug-exception",
        "from nameko.web.handlers import http\nfrom werkzeug.exceptions import NotFound\n",
    ),
    ("publisher-options", MESSAGING + "Publisher(use_confirms=False)\n"),
    ("publisher-options", EVENTS + "EventDispatcher(retry=False)\n"),
    ("entrypoints-attribute", RPC + "f.nameko_entrypoints\n"),
    ("entrypoints-attribute", RPC + "getattr(f, 'nameko_entrypoints')\n"),
    ("container-internals", RPC + "container._worker_pool.waitall()\n"),
    ("container-internals", RPC + "patch.object(container, '_worker_result')\n"),
    ("extension-package", "import nameko_sqlalchemy\n"),
    ("extension-package", "from nameko_sentry.x import SentryReporter\n"),
    ("patched-name", "patch('rpcnode.rpc.Rpc')\n"),
    ("logger-name", "getLogger('nameko.rpc')\n"),
]

RELIES_NOT = [
    "reply = self.mail.send.call_async('a')\nself.mail.send.call_async('b').result()\n",
    "replies.append(self.mail.send.call_async())\n",
    EVENTS + "event_handler('a', 'b', requeue_on_error=False)\nevent_handler('a', 'b')\n",
    "from mine import consume\nimport rpcnode\nconsume(q, requeue_on_error=True)\n",
    EVENTS + "event_handler('a', 'b', BROADCAST)\nworker_ctx.data['user'] = 1\n",
    EVENTS + "event_handler('a', 'b', reliable_delivery=False)\n",
    EVENTS + "event_handler('a', 'b', requeue_on_error=True, retry=Retry(3))\n",
    EVENTS + "a = self.container.config['A']\nconfig['A'] = 1\nconfig.update(a=1)\n",
    "self.config['A'] = 1\nx = 'nothing of rpcnode here'\n",
    CLIENT + "proxy = ClusterRpcProxy(config, timeout=None)\nother = ClusterRpcProxy(**options)\n",
    RPC + "class A:\n    b = RpcProxy('b', timeout=3)\n",
    ERRORS + "try: f()\nexcept KeyError: g()\nexcept: h()\n",
    RPC + "import socket\nsocket.Timeout\nasync def f(self): ...\n",
    "import rpcnode\nfrom werkzeug.exceptions import NotFound\n",
    "from rpcnode.rpc import RpcProxy\nRpcProxy('a', retry=3, timeout=1)\n",
    RPC + "self._workers\n",
    "import rpcnode\nimport my_nameko_sentry\n",
    "getLogger('rpcnode.rpc')\ngetLogger('mine')\n",
]


@pytest.mark.parametrize(("rule", "text"), RELIES)
def test_reliance_is_found_before_the_move_and_after_it(rules, rule, text):
    before = rules(text.replace("rpcnode", "nameko"))
    after = rules(
        text if rule == "extension-package" else text.replace("from nameko", "from rpcnode")
    )

    assert rule in before
    assert rule in after


@pytest.mark.parametrize("text", RELIES_NOT)
def test_what_only_looks_like_it_is_left_alone(rules, text):
    found = [rule for rule in rules(text) if rule != "text"]

    assert found == []


def test_line_that_somebody_has_checked_is_not_told_again(rules):
    text = "self.mail.send.call_async('a')  # rpcnode: checked, a failure does not matter\n"

    assert rules(text) == []


def test_comment_makes_no_name_appear(rules):
    assert rules("from nameko import config  # rpcnode: checked\n") == ["not-there"]


def test_client_made_in_a_nested_function_is_told_once(rules):
    text = CLIENT + "def f():\n    def g():\n        ClusterRpcProxy(config, timeout=1)\n"

    assert rules(text) == ["client-per-thread"]


def test_every_rule_for_reliance_has_an_example():
    of_others = {"not-there", "two-meanings", "unusual-spelling", "text", "command", "requirement"}
    of_configurations = {"transport-options", "tls-host", "pickle"}

    assert {rule for rule, _ in RELIES} == set(RULES) - of_others - of_configurations


def test_every_rule_has_a_sentence_and_an_advice():
    for rule in RULES.values():
        assert rule.says
        assert rule.write
