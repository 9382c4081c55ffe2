"""The machine that kernels are compiled for: the least CPU that has the row of the table, not the host's.

numba compiles for the host, all functions of a process alike. Kernels have a code generator of their own beside
numba's, by the means that numba has for this (``subtarget``); what else a process compiles stays as it was.
"""

from functools import cached_property

from numba.core.codegen import JITCPUCodegen
from numba.core.registry import CPUDispatcher, CPUTarget, cpu_target

from .isa import ISA


class _Codegen(JITCPUCodegen):
    """What these return is also numba's key for machine code on disk."""

    def _get_host_cpu_name(self):
        return ISA.cpu

    def _get_host_cpu_features(self):
        return ISA.tuning  # and what the CPU has


class _Target(CPUTarget):
    @property
    def typing_context(self):
        return cpu_target.typing_context

    @cached_property
    def target_context(self):
        return cpu_target.target_context.subtarget(_internal_codegen=_Codegen("fastbp"))


class Dispatcher(CPUDispatcher):
    """A compiled function, for ``ISA.cpu``."""

    targetdescr = _Target("cpu")
