"""Sphinx: the pages of this folder, and the reference from the docstrings.

python -m sphinx -W docs docs/_build
"""

import re
from pathlib import Path

import fastbp
from fastbp.bench import page, results

project = "fastbp"
version = release = fastbp.__version__
extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]

html_theme = "alabaster"  # comes with Sphinx
html_theme_options = {
    "description": "Neural networks trained on the CPU by compiled kernels",
    "fixed_sidebar": True,
    "page_width": "1180px",
    "font_family": "system-ui, sans-serif",
    "head_font_family": "system-ui, sans-serif",
}
html_static_path = ["_static"]
html_css_files = ["page.css"]
html_sidebars = {"**": ["about.html", "searchfield.html", "navigation.html"]}
html_show_sourcelink = html_show_copyright = False

autodoc_typehints = "none"  # the docstrings say more
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "exclude-members": "lower, as_targets, hyper, new_states"}
toc_object_entries = False  # the pages are short, and the sidebar is narrow
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False

WIDTH = 120 - 8  # of a docstring's line, in a class


def sections(_app, _what, _name, _object, _options, lines):
    """Bring a docstring's sections into the form that napoleon knows.

    The docstrings end a section by a paragraph that is not indented, where napoleon wants two blank lines; and after
    ``name :`` they may have a sentence that goes on in the next line, where napoleon expects a type.
    """
    result: list[str] = []
    section = False
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if re.fullmatch(r"-{3,}", following):
            section = True
        elif section and line and line[0] != " " and result[-1] == "":
            result.append("")
            section = False
        field = re.fullmatch(r"([\w, ]+) : (.+)", line) if section else None
        wraps = field and following.startswith("    ") and len(line) + 1 + len(following.split()[0]) > WIDTH
        if field and (wraps or not following.startswith("    ")):
            result += [field[1], f"    {field[2]}"]
        else:
            result.append(line)
    lines[:] = result


def report(app, exception):
    """Write the page of the benchmark run that is kept here, with its plots."""
    if exception is None and app.builder.format == "html":
        page.write(results.load(Path(app.srcdir, "benchmarks.json.gz")), Path(app.outdir, "benchmarks"))


def setup(app):
    app.connect("build-finished", report)
    app.connect("autodoc-process-docstring", sections, priority=400)  # before napoleon
