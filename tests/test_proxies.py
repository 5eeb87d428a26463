"""Proxies hand what was said to their caller."""

import gc

import pytest

from rpcnode.proxies import UNSET, CallOptions, ClusterProxy, RpcReply


class Caller:
    """Writes down what it is asked for."""

    def __init__(self):
        self.log = []

    def call(self, method, args, kwargs):
        self.log.append(("call", method.full_name, args, kwargs, method.options))
        return "result"

    def call_async(self, method, args, kwargs):
        self.log.append(("call_async", method.full_name, args, kwargs, method.options))
        return RpcReply(lambda timeout: timeout, lambda: self.log.append("forgotten"))

    def cast(self, method, args, kwargs):
        self.log.append(("cast", method.full_name, args, kwargs, method.options))


@pytest.fixture
def caller():
    return Caller()


@pytest.fixture
def cluster(caller):
    return ClusterProxy(caller, CallOptions())


def test_call_goes_to_the_caller(cluster, caller):
    assert cluster.maths.add(1, up=2) == "result"
    assert cluster["any-service"]["any method"]() == "result"

    assert caller.log == [
        ("call", "maths.add", (1,), {"up": 2}, CallOptions()),
        ("call", "any-service.any method", (), {}, CallOptions()),
    ]


def test_options_are_for_one_proxy(cluster, caller):
    quick = cluster.maths.add.with_options(timeout=0.5, headers={"a": 1})
    quick.with_options(headers={"b": 2}).cast(1)
    quick.with_options(timeout=None)(1)
    cluster.maths.add(1)

    assert [entry[-1] for entry in caller.log] == [
        CallOptions(0.5, {"a": 1, "b": 2}),
        CallOptions(None, {"a": 1}),
        CallOptions(),
    ]


def test_reply_is_forgotten_when_nobody_has_it_any_more(cluster, caller):
    reply = cluster.maths.add.call_async(1)

    assert reply.result() is UNSET
    assert reply.result(timeout=3) == 3
    assert "forgotten" not in caller.log
    del reply
    gc.collect()
    assert caller.log[-1] == "forgotten"


@pytest.mark.parametrize("name", ["_private", "__len__", "__wrapped__"])
def test_private_names_are_no_methods(cluster, name):
    for proxy in (cluster, cluster.maths):
        assert not hasattr(proxy, name)
        assert proxy[name] is not None
