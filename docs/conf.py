"""How ``nox -s docs`` makes the site: Sphinx over the Markdown in this directory, and over the docstrings."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_extensions"))

project = "metadatadb"
author = "The metadatadb authors"
release = importlib.metadata.version("metadatadb-core")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "config_attributes",  # these five are in _extensions
    "docstring_names",
    "known_names",
    "public_names",
    "signatures",
]
exclude_patterns = ["_build", "_extensions"]

# A name in backticks is a reference, and one that leads nowhere is a warning; the build is run with -W.
default_role = "py:obj"
nitpicky = True
nitpick_ignore = [
    # In signatures of public names, and described there in words.
    ("py:class", "Block"),
    ("py:class", "ClientProvider"),
    ("py:class", "FromUrl"),
    ("py:class", "Names"),
    ("py:class", "Settings"),
    ("py:class", "metadatadb_core.registration.Registration"),
    ("py:class", "metadatadb_core.replication.environment.Environment"),
]
nitpick_ignore_regex = [
    ("py:.*", r"([\w.]+\.)?[A-Z](_co)?"),  # a type variable
    ("py:class", r"metadatadb_core\.testing\.(backend_cases|suite)\.\w+"),  # parameters of tests, which fixtures give
]
public_names_file = str(HERE.parent / "tests/unit/public_api.txt")

autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
autodoc_preserve_defaults = True
autodoc_typehints = "signature"
autodoc_default_options = {"members": True}
python_maximum_signature_line_length = 88
python_use_unqualified_type_names = True
napoleon_attr_annotations = False  # signatures have them
napoleon_use_ivar = False
napoleon_use_rtype = False

# The lexer does not know a label without quotes; that every block of HCL is right, a test sees to.
suppress_warnings = ["misc.highlighting_failure"]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4

html_theme = "furo"
html_title = "metadatadb"
html_static_path = ["_static"]
html_css_files = ["narrow.css"]
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
