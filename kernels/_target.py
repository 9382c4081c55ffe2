"""The machine that kernels are compiled for: the least CPU that has the row of the table, not the host's.

numba compiles for the host, all functions of a process alike. Kernels have a code generator of their own beside
numba's, by the means that numba has for this (``subtarget``); what else a process compiles stays as it was.

numba would compile each function to machine code, although most are called from compiled code alone, where LLVM has
them in the module of each caller anyway. Those stay LLVM's intermediate code, which is optimised as a part of the
callers.
"""

from functools import cached_property

import llvmlite.binding as llvm
from numba.core.codegen import JITCodeLibrary, JITCPUCodegen
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import PassManager, register_pass
from numba.core.registry import CPUDispatcher, CPUTarget, cpu_target
from numba.core.typed_passes import NativeLowering, NopythonRewrites
from numba.core.types.misc import unliteral
from numba.core.untyped_passes import InlineClosureLikes

from .isa import ISA


class _Library(JITCodeLibrary):
    """The code of a function. A ``part`` of others has no machine code of its own."""

    def __init__(self, codegen, name, part=False):
        super().__init__(codegen, name)
        self._part = part

    def _optimize_final_module(self):
        if not self._part:
            super()._optimize_final_module()

    def _finalize_final_module(self):
        if not self._part:
            super()._finalize_final_module()
        self._finalized = True

    def serialize_using_object_code(self):
        if not self._part:
            return super().serialize_using_object_code()
        return self.name, "part", self._get_module_for_linking().as_bitcode()

    @classmethod
    def _unserialize(cls, codegen, state):
        name, kind, data = state
        if kind != "part":
            return super()._unserialize(codegen, state)
        library = codegen.create_library(name, part=True)
        library._shared_module = llvm.parse_bitcode(data)
        library._finalized = True
        return library


class _Codegen(JITCPUCodegen):
    """What these return is also numba's key for machine code on disk."""

    _library_class = _Library

    def _get_host_cpu_name(self):
        return ISA.cpu

    def _get_host_cpu_features(self):
        return ISA.tuning  # and what the CPU has

    def set_env(self, env_name, env):
        if self._engine.is_symbol_defined(env_name):
            super().set_env(env_name, env)


@register_pass(mutates_CFG=True, analysis_only=False)
class _Lowering(NativeLowering):
    _name = "kernel_lowering"

    def run_pass(self, state):
        state.library = state.targetctx.codegen().create_library(
            state.func_id.func_qualname, part=state.flags.no_cpython_wrapper and state.flags.no_cfunc_wrapper
        )
        state.library.enable_object_caching()
        return super().run_pass(state)


class _Compiler(CompilerBase):
    """numba's, with the libraries from above, and without what looks for expressions of arrays and closures."""

    def define_pipelines(self):
        pipeline = PassManager("kernel")
        for step, text in DefaultPassBuilder.define_nopython_pipeline(self.state).passes:
            if step not in (InlineClosureLikes, NopythonRewrites):
                pipeline.add_pass(_Lowering if step is NativeLowering else step, text)
        pipeline.finalize()
        return [pipeline]


class _Target(CPUTarget):
    @property
    def typing_context(self):
        return cpu_target.typing_context

    @cached_property
    def target_context(self):
        return cpu_target.target_context.subtarget(_internal_codegen=_Codegen("fastbp"))


PART = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""Options of a function that is a part of others."""


class Dispatcher(CPUDispatcher):
    """A compiled function, for ``ISA.cpu``: a whole to whoever calls it from Python, a part of what is compiled."""

    targetdescr = _Target("cpu")

    def __init__(self, function, targetoptions):
        super().__init__(function, targetoptions=targetoptions, pipeline_class=_Compiler)

    @cached_property
    def part(self):
        """The same function, compiled to be a part of others."""
        if self.targetoptions.items() >= PART.items():
            return self
        return type(self)(self.py_func, self.targetoptions | PART)

    def get_call_template(self, args, kws):
        """Have a part compiled; constants are numbers like others to it, or it would be compiled for each."""
        args = [unliteral(arg) for arg in args]
        return super(Dispatcher, self.part).get_call_template(args, kws)

    def get_overload(self, sig):
        return super(Dispatcher, self.part).get_overload(sig)
