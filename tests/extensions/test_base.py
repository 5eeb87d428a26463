"""The extension model."""

import functools
from types import SimpleNamespace

import pytest

from rpcnode.concurrency import sleep, spawn
from rpcnode.containers import ServiceContainer
from rpcnode.exceptions import ConfigurationError, IncorrectSignature
from rpcnode.extensions import (
    DependencyProvider,
    Entrypoint,
    Extension,
    ProviderCollector,
    SharedExtension,
    is_dependency,
    is_entrypoint,
    is_extension,
    iter_extensions,
    register_entrypoint,
)

dummy = Entrypoint.decorator


class Shared(SharedExtension):
    pass


class Inner(Extension):
    shared = Shared()


class Outer(Extension):
    inner = Inner()

    def __init__(self, size, *, color="red"):
        self.size = size
        self.color = color
        self.parts = []
        self.own = Inner()


class Provider(DependencyProvider):
    pass


def make_container():
    return SimpleNamespace(service_name="service", shared_extensions={})


def service_container(*methods, **attributes):
    names = {getattr(each, "__name__", None) or each.__func__.__name__: each for each in methods}
    service_cls = type("Service", (), {"name": "service", **names, **attributes})
    return ServiceContainer(service_cls, {})


def test_bound_extension_is_a_copy_made_with_the_same_arguments():
    template, container = Outer(3, color="blue"), make_container()

    bound = template.bind(container)

    assert bound is not template
    assert (bound.size, bound.color, bound.container) == (3, "blue", container)
    assert bound.is_bound()
    assert not template.is_bound()


def test_copies_share_nothing():
    template = Outer(3)

    first, second = template.bind(make_container()), template.bind(make_container())
    first.parts.append("part")

    assert second.parts == template.parts == []
    assert first.inner is not second.inner


def test_entrypoint_that_is_not_bound_has_no_method_yet():
    assert Entrypoint().method_name is None


def test_sub_extensions_are_bound_with_their_owner():
    container = make_container()

    bound = Outer(3).bind(container)

    assert bound.inner.container is container
    assert bound.own.container is container
    assert bound.inner.shared.container is container
    assert not Outer.inner.is_bound()


def test_container_has_a_shared_extension_once():
    container = make_container()

    bound = Outer(3).bind(container)

    assert bound.inner.shared is bound.own.shared
    assert container.shared_extensions == {Shared: bound.inner.shared}
    assert Shared().bind(make_container()) is not bound.inner.shared


def test_shared_extensions_with_different_keys_are_different():
    class Keyed(SharedExtension):
        def __init__(self, key):
            self.key = key

        @property
        def sharing_key(self):
            return type(self), self.key

    container = make_container()

    bound = [Keyed(key).bind(container) for key in ("a", "b", "a")]

    assert bound[0] is bound[2]
    assert bound[0] is not bound[1]


def test_used_extensions_come_before_their_users():
    bound = Outer(3).bind(make_container())

    assert list(iter_extensions(bound)) == [
        bound.inner.shared,
        bound.inner,
        bound.own.shared,
        bound.own,
    ]


def test_provider_may_be_a_sub_extension():
    class Owner(Extension):
        provider = Provider()

    container = make_container()

    assert Owner().bind(container).provider.container is container


def test_provider_knows_its_name():
    bound = Provider().bind(make_container(), "dep")

    assert bound.attr_name == "dep"
    assert repr(bound) == "<Provider service.dep>"
    assert repr(Provider()) == "<Provider (template)>"


def test_kinds_are_told_apart():
    @dummy
    def method(self): ...

    assert [is_extension(each) for each in (Shared(), Provider(), method)] == [True, True, False]
    assert [is_dependency(each) for each in (Shared(), Provider(), method)] == [False, True, False]
    assert [is_entrypoint(each) for each in (Shared(), Provider(), method)] == [False, False, True]


def test_dependencies_are_ordered_by_declaration_and_overrides_keep_their_place():
    class Base:
        name = "service"
        z = Provider()
        a = Provider()

    class Derived(Base):
        b = Provider()
        z = Provider()

    container = ServiceContainer(Derived, {})

    assert [provider.attr_name for provider in container.dependencies] == ["z", "a", "b"]


def test_dependency_that_a_derived_class_removes_is_gone():
    class Base:
        name = "service"
        dep = Provider()

    class Derived(Base):
        dep = None

    assert ServiceContainer(Derived, {}).dependencies == []


def test_decorator_works_with_and_without_arguments():
    @dummy
    def bare(self): ...

    @dummy(expected_exceptions=ValueError)
    def called(self): ...

    bare_one, called_one = service_container(bare, called).entrypoints

    assert bare_one.expected_exceptions == ()
    assert called_one.expected_exceptions == (ValueError,)
    assert repr(called_one) == "<Entrypoint service.called>"


def test_several_entrypoints_of_a_method_come_in_order_of_decoration():
    @dummy(timeout=2)
    @dummy(timeout=1)
    def method(self): ...

    entrypoints = service_container(method).entrypoints

    assert [entrypoint.timeout for entrypoint in entrypoints] == [1, 2]
    assert {entrypoint.method_name for entrypoint in entrypoints} == {"method"}


def test_registering_on_a_wrapper_leaves_the_wrapped_function_alone():
    @dummy
    def inner(self): ...

    @functools.wraps(inner)
    def outer(self): ...

    register_entrypoint(outer, Entrypoint())

    assert len(outer.rpcnode_entrypoints) == 2
    assert len(inner.rpcnode_entrypoints) == 1


def test_inherited_entrypoints_are_found():
    class Base:
        name = "service"

        @dummy
        def method(self): ...

    class Derived(Base):
        pass

    assert [each.method_name for each in ServiceContainer(Derived, {}).entrypoints] == ["method"]


def test_method_overridden_without_a_decorator_is_no_entrypoint():
    class Base:
        name = "service"

        @dummy
        def method(self): ...

    class Derived(Base):
        def method(self): ...

    assert ServiceContainer(Derived, {}).entrypoints == []


def test_attributes_that_answer_to_any_name_are_no_entrypoints():
    class Anything:
        def __getattr__(self, name):
            return self

    assert service_container(thing=Anything()).entrypoints == []


def test_options_are_normalised():
    @dummy(expected_exceptions=[ValueError, KeyError], sensitive_arguments="secret", timeout=2)
    def method(self): ...

    (entrypoint,) = service_container(method).entrypoints

    assert entrypoint.expected_exceptions == (ValueError, KeyError)
    assert entrypoint.sensitive_arguments == ("secret",)
    assert entrypoint.timeout == 2


def test_old_name_of_sensitive_arguments_still_works():
    with pytest.warns(DeprecationWarning, match="sensitive_arguments"):
        entrypoint = Entrypoint(sensitive_variables=("a", "b"))

    assert entrypoint.sensitive_arguments == ("a", "b")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"colour": "red"}, "colour"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": "1"}, "timeout"),
        ({"max_workers": 0}, "max_workers"),
        ({"max_workers": 1.5}, "max_workers"),
        ({"max_workers": True}, "max_workers"),
    ],
)
def test_wrong_option_is_named(options, message):
    with pytest.raises(ConfigurationError, match=message):
        Entrypoint(**options)


def test_entrypoint_with_workers_of_its_own_has_a_lane():
    @dummy(max_workers=2)
    def special(self): ...

    @dummy
    def plain(self): ...

    container = service_container(special, plain)

    own, default = (entrypoint.lane for entrypoint in container.entrypoints)
    assert default is container.default_lane
    assert (own.name, own.max_workers) == ("service.special", 2)
    assert container.lanes == [default, own]


def test_arguments_are_compared_with_the_signature_of_the_method():
    @dummy
    def method(self, a): ...

    (entrypoint,) = service_container(method).entrypoints

    entrypoint.check_signature((1,), {})
    with pytest.raises(IncorrectSignature, match=r"service.method: missing a required argument"):
        entrypoint.check_signature((), {})


@pytest.mark.parametrize("above", [True, False])
def test_static_methods_are_entrypoints(above):
    def static(a):
        return a

    method = staticmethod(dummy(static)) if above else dummy(staticmethod(static))

    (entrypoint,) = service_container(method=method).entrypoints

    assert entrypoint.method_name == "method"


async def coroutine(self): ...


async def generator(self):
    yield


@pytest.mark.parametrize("method", [coroutine, generator, staticmethod(coroutine)])
def test_async_method_is_refused_when_it_is_bound(method):
    with pytest.raises(ConfigurationError, match=r"Service.method.*async"):
        service_container(method=register_entrypoint(method, Entrypoint()))


@pytest.mark.parametrize("above", [True, False])
def test_class_method_is_refused_when_it_is_bound(above):
    def method(cls): ...

    method = classmethod(dummy(method)) if above else dummy(classmethod(method))

    with pytest.raises(ConfigurationError, match=r"Service.method.*class method"):
        service_container(method=method)


@pytest.mark.parametrize("value", ["method", ValueError("x"), (ValueError, "x"), 5, [object]])
def test_expected_exceptions_must_be_exception_classes(value):
    with pytest.raises(ConfigurationError, match="expected_exceptions must be exception classes"):
        Entrypoint(expected_exceptions=value)


def test_dependency_without_its_parentheses_is_refused():
    class Service:
        name = "service"
        thing = DependencyProvider

    with pytest.raises(ConfigurationError, match=r"Service.thing.*write DependencyProvider\("):
        ServiceContainer(Service, {})


def test_provider_that_is_defined_in_a_service_is_no_dependency():
    class Service:
        name = "service"

        class Thing(DependencyProvider):
            pass

        thing = Thing()

    container = ServiceContainer(Service, {})

    assert [provider.attr_name for provider in container.dependencies] == ["thing"]


def test_method_without_self_is_refused_when_it_is_bound():
    @dummy
    def method(): ...

    with pytest.raises(ConfigurationError, match=r"Service.method.*write `self`"):
        service_container(method=method)


def test_decorator_that_wants_arguments_says_so():
    class Every(Entrypoint):
        def __init__(self, seconds, **kwargs):
            super().__init__(**kwargs)

    with pytest.raises(ConfigurationError, match=r"Every wants arguments.*'seconds'"):

        @Every.decorator
        def method(self): ...


class Collector(ProviderCollector, SharedExtension):
    pass


def test_collector_stops_when_the_last_provider_is_gone():
    collector = Collector()
    collector.register_provider("a")
    collector.register_provider("b")
    stop = spawn(collector.stop)
    sleep()

    collector.unregister_provider("a")
    sleep()
    assert not stop.dead

    collector.unregister_provider("b")
    stop.wait()
    assert collector._providers == set()


def test_collector_without_providers_stops_at_once():
    collector = Collector()
    collector.unregister_provider("stranger")

    collector.stop()

    assert collector._providers == set()


def test_collector_waits_again_for_those_that_come_back():
    collector = Collector()
    collector.register_provider("a")
    collector.unregister_provider("a")
    collector.register_provider("a")

    stop = spawn(collector.stop)
    sleep()

    assert not stop.dead
    collector.unregister_provider("a")
    stop.wait()


def test_collector_keeps_the_arguments_of_the_extension():
    class Configured(ProviderCollector, SharedExtension):
        def __init__(self, size):
            super().__init__()
            self.size = size

    assert Configured(3).bind(make_container()).size == 3
