"""How Sphinx builds these pages."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from rpcnode import __version__  # noqa: E402 (the path must be set before)

project = "rpcnode"
author = "the authors of rpcnode"
copyright = "the authors of rpcnode"
version = release = __version__

extensions = ["myst_parser", "config_table"]
exclude_patterns = ["_build"]
nitpicky = True
myst_heading_anchors = 3

html_theme = "alabaster"
html_theme_options = {
    "description": "Microservices in Python: calls and events",
    "fixed_sidebar": True,
    "page_width": "1040px",
}
html_show_sourcelink = False
html_copy_source = False
