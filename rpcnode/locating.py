"""Objects that a configuration names by their path."""

import pkgutil
from typing import Any


def locate(path: str) -> Any:
    """Return the object at a dotted path such as `package.module.name`, None when there is none.

    What goes wrong while a module is imported is raised as it is.
    """
    try:
        return pkgutil.resolve_name(path)
    except ModuleNotFoundError as exc:
        # One that the named module lacks is another matter.
        if exc.name is None or not f"{path}.".startswith(f"{exc.name}."):
            raise
    except (AttributeError, ValueError):
        pass  # no such name, or nothing that could be one
    return None
