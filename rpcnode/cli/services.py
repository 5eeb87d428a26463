"""Finding the services that somebody names on a command line."""

import importlib
import pkgutil
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType, TracebackType

from rpcnode.cli.hints import did_you_mean
from rpcnode.exceptions import CommandError
from rpcnode.extensions.base import declared_dependencies, declared_entrypoints

SHOWN_CLASSES = 10


def find_services(targets: Iterable[str]) -> list[type]:
    """Return the service classes that `targets` name: modules, packages, or `module:Class`.

    Modules are looked for in the current folder, too. Raises CommandError when something
    cannot be imported, or has no service.
    """
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    found: dict[type, None] = {}
    for target in targets:
        module_name, separator, class_name = target.partition(":")
        _refuse_files(target, module_name, class_name)
        if separator and not class_name:
            raise CommandError(f"{target!r} names no class: write MODULE:CLASS or {module_name!r}")
        module = _import(module_name)
        services = [_named(module, class_name)] if class_name else _services_in(module)
        found.update(dict.fromkeys(services))
    return list(found)


def _refuse_files(target: str, module_name: str, class_name: str) -> None:
    name = module_name.removesuffix(".py").removeprefix("./").strip("/").replace("/", ".")
    if not all(part.isidentifier() for part in name.split(".")):
        raise CommandError(f"{target!r} is neither a module nor MODULE:CLASS")
    if name != module_name:
        meant = f"{name}:{class_name}" if class_name else name
        raise CommandError(f"{target!r} is a file, and a module is wanted; did you mean {meant!r}?")


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as exc:
        if exc.name is not None and f"{name}.".startswith(f"{exc.name}."):
            raise CommandError(_missing(name, exc.name)) from exc
        raise _broken(name, exc) from exc
    except (Exception, SystemExit) as exc:  # whatever a user's module does
        raise _broken(name, exc) from exc


def _missing(name: str, missing: str) -> str:
    text = f"there is no module {missing!r}"
    parent, _, last = missing.rpartition(".")
    module = sys.modules.get(parent)
    if isinstance(getattr(module, last, None), type):
        return f"{text}; did you mean '{parent}:{last}'?"
    if parent and not hasattr(module, "__path__"):
        return f"{text}: {parent!r} is not a package"
    paths = [str(Path.cwd())] if module is None else list(module.__path__)
    known = [each.name for each in pkgutil.iter_modules(paths)]
    prefix, rest = missing.removesuffix(last), name.removeprefix(missing)
    hint = did_you_mean(missing, [f"{prefix}{each}" for each in known])
    return text + hint.replace("'?", f"{rest}'?")


def _broken(name: str, error: BaseException) -> CommandError:
    _show_traceback(error)
    reason = f"{type(error).__name__}: {error}"
    return CommandError(f"cannot import {name!r}: {_module_called(error) or reason}")


def _show_traceback(error: BaseException) -> None:
    tb = error.__traceback__
    while tb is not None and _is_machinery(tb):
        tb = tb.tb_next
    print("".join(traceback.format_exception(type(error), error, tb)), file=sys.stderr)


def _is_machinery(tb: TracebackType) -> bool:
    file = tb.tb_frame.f_code.co_filename
    return file in (__file__, importlib.__file__) or file.startswith("<frozen importlib")


def _module_called(error: BaseException) -> str | None:
    """Explain `from rpcnode import rpc`, whose `@rpc` is a module; None for other errors."""
    if not isinstance(error, TypeError) or "'module' object is not callable" not in str(error):
        return None
    tb = error.__traceback__
    while tb is not None and tb.tb_next is not None:
        tb = tb.tb_next
    names = {} if tb is None else {**tb.tb_frame.f_globals, **tb.tb_frame.f_locals}
    advice = [
        f"`from rpcnode.{name} import {name}`"
        for name, value in names.items()
        if isinstance(value, ModuleType) and value.__name__ == f"rpcnode.{name}"
        if hasattr(value, name)
    ]
    return f"{error}: write {' and '.join(advice)}" if advice else None


def _named(module: ModuleType, name: str) -> type:
    cls = getattr(module, name, None)
    if not isinstance(cls, type):
        classes = [each for each, value in vars(module).items() if isinstance(value, type)]
        raise CommandError(
            f"there is no class {name!r} in {module.__name__!r}{did_you_mean(name, classes)}"
        )
    if not _has_entrypoints(cls):
        raise CommandError(f"class '{module.__name__}:{name}' has no entrypoints such as @rpc")
    return cls


def _services_in(module: ModuleType) -> list[type]:
    classes = {value: name for name, value in vars(module).items() if isinstance(value, type)}
    services = [
        cls
        for cls, name in classes.items()
        if _is_meant(cls, name, module) and _has_entrypoints(cls)
    ]
    if not services:
        raise CommandError(_nothing_in(module, list(classes)))
    return [cls for cls in services if not _is_mere_base(cls, services)]


def _is_meant(cls: type, name: str, module: ModuleType) -> bool:
    if cls.__module__ == module.__name__ or name in getattr(module, "__all__", ()):
        return True
    return hasattr(module, "__path__") and cls.__module__.startswith(f"{module.__name__}.")


def _is_mere_base(cls: type, services: list[type]) -> bool:
    is_nameless = getattr(cls, "name", None) is None
    return is_nameless and any(each is not cls and issubclass(each, cls) for each in services)


def _has_entrypoints(cls: type) -> bool:
    if any(True for _ in declared_entrypoints(cls)):
        return True
    return any(dependency.works_alone for dependency in declared_dependencies(cls).values())


def _nothing_in(module: ModuleType, classes: list[type]) -> str:
    seen = ", ".join(_reason(cls, module) for cls in classes[:SHOWN_CLASSES]) or "no classes"
    more = len(classes) - SHOWN_CLASSES
    return (
        f"there is no service in {module.__name__!r}: a class with an entrypoint such as @rpc, "
        "defined there or listed in its __all__. What is there: "
        f"{seen}{f' and {more} more' if more > 0 else ''}"
    )


def _reason(cls: type, module: ModuleType) -> str:
    is_from_there = cls.__module__ == module.__name__
    origin = "no entrypoints" if is_from_there else f"from {cls.__module__}"
    return f"{cls.__name__} ({origin})"
