"""Configuration of the documentation. Build it with ``sphinx-build -W docs docs/_build``."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE / "extensions")]

from clipfeat import __version__  # noqa: E402

project = "clipfeat"
author = "the clipfeat authors"
copyright = "the clipfeat authors, Apache-2.0"
version = release = __version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",
    "sphinx_design",
    "mathml",
    "reference_pages",
]
exclude_patterns = ["_build", "reference/generated/*.inc.md"]
templates_path = ["_templates"]
default_role = "py:obj"
smartquotes = False  # they would turn the two hyphens of an option into a dash

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_typehints = "none"  # numpydoc's sections name the types
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

# Nothing is fetched from a network, neither by the build nor by a reader's browser.
html_theme = "pydata_sphinx_theme"
html_title = "clipfeat"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_context = {"default_mode": "auto"}
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
}
