"""Kernels with LLVM's address sanitizer in them, for a process that has its runtime preloaded: see ``test_sanitizers``.

llvmlite has no such pass. Each kernel that LLVM has optimised is therefore written as text, goes through
another LLVM's ``opt``, which puts the checks in, and comes back. What that one is too old for is said in its words.
"""

import re
import subprocess

import llvmlite.binding as llvm

from fastbp.kernels._target import _Library

PASSES, ATTRIBUTE = ("-passes=asan", "-asan-globals=0"), "sanitize_address"  # of the functions that they work on
# Since LLVM 20; without them the optimiser knows less, and the text means the same.
YOUNG = re.compile(
    r" ?(?:, (?:errnomem|target_mem\d): \w+|captures\(\w+\)|nocreateundeforpoison|dead_on_return|samesign)"
    r"|^.*@llvm\.lifetime\.(?:start|end)\..*$",
    re.MULTILINE,
)
MASKED = re.compile(r"^.*@llvm\.masked\.(?:load|store)\..*$", re.MULTILINE)
ATTRIBUTES = re.compile(r"^(attributes #\d+ = \{|define [^#\n]*\) (?:(?:local_)?unnamed_addr )?)", re.MULTILINE)


def older(text):
    """The text of a module as LLVM 19 reads it."""
    return MASKED.sub(_with_alignment, YOUNG.sub("", text))


def _with_alignment(found):
    """A line with a masked load or store whose alignment is an operand, as it was before LLVM 22."""
    line = found[0]
    if line.startswith("declare"):
        return re.sub(r"\bptr(?: \w+)*", "ptr, i32 immarg", line)
    return re.sub(r"\bptr (?:\w+ )*?align (\d+) ([^,()]+)", r"ptr \2, i32 \1", line)


def instrument(opt):
    """Have every kernel that is compiled from now on checked, by what the program ``opt`` puts in."""
    optimize = _Library._optimize_final_module

    def optimize_and_instrument(library):
        optimize(library)
        if library._part:
            return
        text = ATTRIBUTES.sub(rf"\1 {ATTRIBUTE} ", older(str(library._final_module)))
        run = subprocess.run([opt, *PASSES, "-o", "-"], input=text.encode(), capture_output=True)
        if run.returncode:
            raise RuntimeError(run.stderr.decode())
        library._final_module = llvm.parse_bitcode(run.stdout)

    _Library._optimize_final_module = optimize_and_instrument
