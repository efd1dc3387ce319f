"""Sphinx configuration."""

import sys
from importlib import metadata
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive

sys.path.insert(0, str(Path(__file__).resolve().parent))

import house

project = "rfa"
author = "the rfa developers"
copyright = "2026, the rfa developers"
release = version = metadata.version("rfa")

extensions = ["sphinx.ext.autodoc", "sphinx.ext.mathjax", "numpydoc"]
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
html_theme = "alabaster"
html_theme_options = {
    "description": "Random feature amplification",
    "fixed_sidebar": True,
    "page_width": "1120px",
    "body_max_width": "auto",
    "code_font_size": "0.8em",
}
exclude_patterns = ["_build"]
nitpicky = True  # every reference must be to something that is documented


class House(Directive):
    """``.. house::`` puts the picture of the house on a page."""

    def run(self):
        """The picture as a node."""
        # the page is read again in every build, for the imports may have changed
        self.state.document.settings.env.note_reread()
        return [nodes.raw("", house.picture(), format="html")]


def setup(app):
    """Add the directive."""
    app.add_directive("house", House)
