"""Which route a request takes."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing import Map, MapAdapter, RequestRedirect, Rule

from rpcnode.exceptions import ConfigurationError, IncorrectSignature
from rpcnode.extensions.web.paths import PathTree

METHODS = frozenset(("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"))
_VARIABLE = re.compile(r"<(?:([^<>:]*(?:\([^<>]*\))?):)?[^<>:]*>")


class Target(Protocol):
    """What takes the requests of a route; its text names it in errors."""

    def receive(self, exchange: Any, values: Mapping[str, Any]) -> None:
        """Answer a request, now or later; called in the hub. `values` are those in the URL."""


class Route:
    """One rule, in the syntax of Werkzeug, and who takes its requests.

    A route for GET takes HEAD as well, unless there is one for HEAD.
    """

    __slots__ = ("methods", "rule", "shape", "target")

    def __init__(self, rule: Rule, target: Target) -> None:
        self.rule = rule
        self.target = target
        self.methods = frozenset(rule.methods or METHODS)
        # What is a variable in the rule is called what it likes.
        self.shape = _VARIABLE.sub(lambda found: f"<{found[1] or 'default'}>", rule.rule)

    @property
    def is_static(self) -> bool:
        """Whether the rule is a path as it stands."""
        return "<" not in self.rule.rule and self.rule.rule == self.shape


class Mount:
    """A prefix whose requests all go to one target, but for those that have a route."""

    def __init__(self, prefix: str, target: Target) -> None:
        self.prefix = prefix.rstrip("/")
        self.target = target

    def takes(self, path: str) -> bool:
        """Return whether a path is below the prefix."""
        return path == self.prefix or path.startswith(f"{self.prefix}/")


class RouteTable:
    """The routes of a process. It is made anew when they change.

    `fixed` are paths that are answered unless a route wants them.

    Raises ConfigurationError, naming both, when two of them want the same requests.
    """

    def __init__(
        self,
        routes: Iterable[Route],
        mounts: Iterable[Mount] = (),
        fixed: Mapping[str, Target] | None = None,
    ) -> None:
        self._routes = list(routes)
        self._mounts = sorted(mounts, key=lambda mount: -len(mount.prefix))
        self._check_mounts()
        taken = self._check_routes()
        self._static = {
            (method, path): target
            for path, target in (fixed or {}).items()
            for method in ("GET", "HEAD")
        }
        rules = []
        for route in self._routes:
            methods = set(route.methods)
            if "GET" in methods and taken.get((route.shape, "HEAD"), route) is not route:
                methods.discard("HEAD")
            if route.is_static and "%" not in route.rule.rule:
                self._static.update({(each, route.rule.rule): route.target for each in methods})
            rules.append(_unbound(route, methods))
        self._tree = PathTree.of(rules)
        self._adapter: MapAdapter = Map(rules).bind("localhost")

    def match(self, method: str, path: str) -> tuple[Target, Mapping[str, Any]]:
        """Return who takes a request, and the values in its URL.

        `path` is as it was sent. Raises NotFound, MethodNotAllowed or RequestRedirect.
        """
        target = self._static.get((method, path))
        if target is not None:
            return target, {}
        found = None if self._tree is None else self._tree.find(method, path)
        return found or self._match(method, path)

    def _match(self, method: str, path: str) -> tuple[Target, Mapping[str, Any]]:
        try:
            return self._adapter.match(unquote(path), method)
        except ValueError as exc:  # a number of more digits than Python reads
            raise NotFound from exc
        except (NotFound, MethodNotAllowed, RequestRedirect) as exc:
            for mount in self._mounts:
                if mount.takes(path):
                    return mount.target, {}
            if isinstance(exc, RequestRedirect):
                raise _relative(exc) from None
            raise

    def methods(self, path: str) -> list[str]:
        """Return the methods that a path has, sorted; none if there is nothing."""
        return sorted(self._adapter.allowed_methods(unquote(path)))

    def _check_routes(self) -> dict[tuple[str, str], Route]:
        taken: dict[tuple[str, str], Route] = {}
        for route in self._routes:
            # A HEAD that comes with GET gives way to one that was asked for.
            for method in sorted(route.methods, key="HEAD".__eq__):
                other = taken.get((route.shape, method))
                is_implied = method == "HEAD" and "GET" in route.methods
                if other is None or (method == "HEAD" and "GET" in other.methods):
                    if other is None or not is_implied:
                        taken[route.shape, method] = route
                elif not is_implied:
                    raise ConfigurationError(
                        f"{other.target!r} and {route.target!r} both want {method} "
                        f"{route.rule.rule}"
                    )
        return taken

    def _check_mounts(self) -> None:
        by_prefix: dict[str, Mount] = {}
        for mount in self._mounts:
            other = by_prefix.setdefault(mount.prefix, mount)
            if other is not mount:
                raise ConfigurationError(
                    f"{other.target!r} and {mount.target!r} both want {mount.prefix or '/'}"
                )


def _unbound(route: Route, methods: set[str]) -> Rule:
    rule = route.rule.empty()
    rule.methods = methods
    rule.endpoint = route.target
    return rule


def methods_of(text: str) -> list[str]:
    """Return the HTTP methods that `GET,POST` names."""
    return [each.strip().upper() for each in text.split(",")]


def check_rule(method: Any, url: Any) -> None:
    """Raise ConfigurationError for what is no method, or no rule."""
    if not isinstance(method, str) or not all(each.isalpha() for each in methods_of(method)):
        raise ConfigurationError(f"http: {method!r} is no HTTP method; write 'GET' or 'GET,POST'")
    try:
        names_in(Rule(url))
    except (ValueError, TypeError, LookupError, AttributeError) as exc:
        raise ConfigurationError(f"http: {url!r} is no rule for URLs: {exc}") from exc


def names_in(rule: Rule) -> list[str]:
    """Return the names of the values in a rule, sorted."""
    Map([rule])  # only in a map does it know them
    return sorted(rule.arguments)


def check_parameters(handler: Any, rule: Rule) -> None:
    """Raise ConfigurationError when the handler's method cannot take the values in its rule."""
    names = names_in(rule)
    try:
        handler.check_signature((None,), dict.fromkeys(names))
    except IncorrectSignature as exc:
        parameters = ", ".join(["self", "request", *names])
        raise ConfigurationError(
            f"{exc}: for {rule.rule!r} write `def {handler.method_name}({parameters})`"
        ) from exc


def _relative(redirect: RequestRedirect) -> RequestRedirect:
    # Werkzeug would name a host; where the client is, is its own affair. One slash at the
    # beginning: two would name a host again.
    url = urlsplit(redirect.new_url)
    redirect.new_url = "/" + url.path.lstrip("/")
    return redirect
