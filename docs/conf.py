"""Sphinx: the pages of this folder, and the reference from the docstrings.

python -m sphinx -W docs docs/_build
"""

import argparse
import re
import sys
import textwrap
from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

import fastbp
from fastbp import cli
from fastbp.bench import page, results

sys.path.insert(0, str(Path(__file__).parent))
from draw_program import picture

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
smartquotes_action = "qe"  # quotes and dots, but -- begins an option

autodoc_typehints = "none"  # the docstrings say more
autodoc_member_order = "bysource"
# What networks and exports ask of layers, losses and optimizers; users do not.
asked = "lower, as_targets, hyper, new_states, parameters, mixes_rows, names, gain, kernel, kernel_back, in_registers"
asked += ", of_output, number, torch, c, numpy, word, onnx, elsewhere, targets, link, is_of_classes, must_be_of_classes"
asked += ", n_classes, found, labels_in, as_labels, kernel_slope, kernel_slope_of_output, kernel_in_one_go"
asked += ", checked, checked_parameters, folded, to_module, from_module, draws, buffers, out_shape, torch_unused"
asked += ", least_rows"
autodoc_default_options = {"members": True, "exclude-members": asked}
toc_object_entries = False  # the pages are short, and the sidebar is narrow
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False


class Command(SphinxDirective):
    """``.. command:: train``: what the subcommand is for, its options, and its examples, as ``--help`` has them."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        module, parser = cli.command(name)
        lines = [*module.__doc__.splitlines(), "", f".. program:: fastbp {name}", ""]
        for action in parser._actions:
            if not isinstance(action, argparse._HelpAction):
                explained = re.sub(r"([*`|\\_])", r"\\\1", (action.help or "") % vars(action))
                lines += [f".. option:: {_form(action)}", "", f"   {explained}", ""]
        examples = textwrap.dedent(module.EXAMPLES.partition("\n")[2])
        lines += ["Examples::", "", textwrap.indent(examples, "   ")]
        return self.parse_text_to_nodes("\n".join(lines))


def _form(action: argparse.Action) -> str:
    """The option and its values, as they are typed."""
    if action.nargs == 0:
        return action.option_strings[0]
    value = action.metavar or "{" + ",".join(action.choices) + "}"
    several = f" [{value} ...]" if action.nargs == "+" else ""
    return " ".join([*action.option_strings[:1], f"{value}{several}"])


class Program(SphinxDirective):
    """``.. program-of:: 784 50 10``: the program of a step of that ``mlp`` with 100 samples, as it is here."""

    required_arguments, final_argument_whitespace = 1, True

    def run(self) -> list[nodes.Node]:
        text = fastbp.mlp([int(width) for width in self.arguments[0].split()]).program(batch_size=100)
        if self.env.app.builder.format == "html":
            return [nodes.raw("", picture(text), format="html")]
        return [nodes.literal_block(text, text)]


def report(app, exception):
    """Write the page of the benchmark run that is kept here, with its plots."""
    if exception is None and app.builder.format == "html":
        page.write(results.load(Path(app.srcdir, "benchmarks.json.gz")), Path(app.outdir, "benchmarks"))


def setup(app):
    app.add_directive("command", Command)
    app.add_directive("program-of", Program)
    app.connect("build-finished", report)
