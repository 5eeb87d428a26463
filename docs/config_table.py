"""The directive `config-table`: the configuration keys, as `rpcnode.config_keys` has them."""

import json
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from rpcnode.config_keys import KEYS, Key

HEAD = ["| key | default | must be | what it is for |", "| --- | --- | --- | --- |"]


def table() -> list[str]:
    """Return the lines of a Markdown table with all keys."""
    return [*HEAD, *map(_row, KEYS)]


def _row(key: Key) -> str:
    default = json.dumps(key.default)
    cells = f"`{key.name}`", f"`{default}`", key.check.expected, key.description
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


class ConfigTable(SphinxDirective):
    """Puts the table where the directive stands."""

    def run(self) -> list[nodes.Node]:
        """Return the table's nodes; called by Sphinx."""
        return self.parse_text_to_nodes("\n".join(table()))


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive; called by Sphinx."""
    app.add_directive("config-table", ConfigTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
