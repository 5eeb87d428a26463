"""Groups of methods for one URL."""

from collections.abc import Mapping
from types import FunctionType
from typing import Any

from rpcnode.exceptions import ConfigurationError
from rpcnode.extensions.base import class_attributes

VERBS = ("get", "head", "post", "put", "patch", "delete", "options")


class Resource:
    """What stands in a service in place of a group; its methods are the service's by then."""

    def __init__(self, methods: Mapping[str, Any]) -> None:
        self._methods = methods

    def __set_name__(self, owner: type, name: str) -> None:
        """Give the methods to the service; called when its class is made."""
        for verb, method in self._methods.items():
            setattr(owner, f"{name.lower()}_{verb}", method)


def make_resource(group: type, handler_cls: Any, url: str, options: Mapping[str, Any]) -> Resource:
    """Return a resource: each method of `group` answers the HTTP method that it is named after."""
    methods = {}
    for name, method in class_attributes(group).items():
        if not isinstance(method, FunctionType):
            continue
        if name not in VERBS:
            raise ConfigurationError(
                f"{group.__qualname__}.{name}: the methods of a resource are named after HTTP's: "
                f"{', '.join(VERBS)}"
            )
        methods[name] = handler_cls.decorator(name.upper(), url, **options)(method)
    if not methods:
        raise ConfigurationError(f"resource {group.__qualname__} has no method such as `get`")
    return Resource(methods)
