"""Sphinx builds these pages with ``python -m sphinx -W docs build/docs``."""

import inspect

import tconv

project = "tconv"
author = "the tconv authors"
copyright = author
version = release = tconv.__version__

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_copybutton",
]
exclude_patterns = ["_templates"]
templates_path = ["_templates"]

# ---- pages ----

myst_heading_anchors = 3
nb_execution_mode = "auto"
nb_execution_raise_on_error = True
nb_execution_timeout = 60

# ---- docstrings ----

default_role = "py:obj"
autodoc_typehints = "none"  # numpydoc has them in words
numpydoc_show_class_members = False
numpydoc_validation_checks = {
    *("GL03", "GL05", "GL06", "GL07", "GL08", "GL09", "GL10"),
    *("SS01", "SS02", "SS03", "SS04", "SS06"),
    *("PR01", "PR02", "PR05", "PR06", "PR08", "PR10", "RT01", "YD01"),
}
numpydoc_validation_exclude = {
    r"\.__init__$",
    r"^tconv\.(Explanation|problems\.Problem|viz\.Picture)$",  # made by functions
    r"^tconv\.(autograd|nn|torch)\.",  # as the functions, layers and modules they stand for
}

# ---- what they look like ----

html_theme = "furo"
html_title = f"tconv {release}"
html_show_copyright = False
html_static_path = ["_static"]
html_css_files = ["style.css"]
copybutton_exclude = ".linenos, .gp, .go"


# ---- signatures ----


def compiled_signature(app, what, name, obj, options, signature, return_annotation):
    """That of a compiled function as Python reads it; numpydoc would leave `$module`'s slash in."""
    return (str(inspect.signature(obj)), None) if inspect.isbuiltin(obj) else None


def setup(app):
    """Come before numpydoc, whose priority is 500."""
    app.connect("autodoc-process-signature", compiled_signature, priority=400)
