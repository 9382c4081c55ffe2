"""Kernels with one of LLVM's sanitizers in them, for a process that has its runtime preloaded: see ``test_sanitizers``.

llvmlite has no such passes. Each kernel that LLVM has optimised is therefore written as text, goes through
another LLVM's ``opt``, which puts the checks in, and comes back. What that one is too old for is said in its words.
"""

import re
import subprocess

import llvmlite.binding as llvm

from fastbp.kernels._target import _Library

PASSES = {
    "address": ("-passes=asan", "-asan-globals=0"),
    "thread": ("-passes=tsan-module,function(tsan)",),
}
# Since LLVM 20; without them the optimiser knows less, and the text means the same.
YOUNG = re.compile(
    r" ?(?:, (?:errnomem|target_mem\d): \w+|captures\(\w+\)|nocreateundeforpoison|dead_on_return|samesign)"
    r"|^.*@llvm\.lifetime\.(?:start|end)\..*$",
    re.MULTILINE,
)
MASKED = re.compile(r"^.*@llvm\.masked\.(?:load|store|gather|scatter)\..*$", re.MULTILINE)
ATTRIBUTES = re.compile(r"^(attributes #\d+ = \{|define [^#\n]*\) (?:(?:local_)?unnamed_addr )?)", re.MULTILINE)


def older(text):
    """The text of a module as LLVM 19 reads it."""
    return MASKED.sub(_with_alignment, YOUNG.sub("", text))


def _with_alignment(found):
    """A line with a masked load or store whose alignment is an operand, as it was before LLVM 22."""
    line = found[0]
    if line.startswith("declare"):
        return re.sub(r"(\bptr\b>?)[ \w]*", r"\1, i32 immarg", line)
    return re.sub(r"(\bptr\b>?) (?:\w+ )*?align (\d+) ([^,()]+)", r"\1 \3, i32 \2", line)


def instrument(opt, sanitizer):
    """Have every kernel that is compiled from now on checked by a ``sanitizer``, which the program ``opt`` puts in."""
    optimize = _Library._optimize_final_module

    def optimize_and_instrument(library):
        optimize(library)
        if library._part:
            return
        text = ATTRIBUTES.sub(rf"\1 sanitize_{sanitizer} ", older(str(library._final_module)))
        run = subprocess.run([opt, *PASSES[sanitizer], "-o", "-"], input=text.encode(), capture_output=True)
        if run.returncode:
            raise RuntimeError(run.stderr.decode())
        library._final_module = llvm.parse_bitcode(run.stdout)

    _Library._optimize_final_module = optimize_and_instrument
