"""Sphinx configuration."""

from importlib import metadata

project = "rfa"
author = "the rfa developers"
copyright = "2026, the rfa developers"
release = version = metadata.version("rfa")

extensions = ["sphinx.ext.autodoc", "sphinx.ext.mathjax", "numpydoc"]
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
html_theme = "alabaster"
html_theme_options = {"description": "Random feature amplification", "fixed_sidebar": True}
exclude_patterns = ["_build"]
nitpicky = True  # every reference must be to something that is documented
