"""The machine that kernels are compiled for: the least CPU that has the row of the table, not the host's.

numba compiles for the host, all functions of a process alike. Kernels have a code generator of their own beside
numba's, by the means that numba has for this (``subtarget``); what else a process compiles stays as it was.

numba would compile each function to machine code, although most are called from compiled code alone, and callers have
a copy of what they call, optimised along with them. As a part of callers, a function stays LLVM's intermediate code.
"""

from functools import cached_property

import llvmlite.binding as llvm
from numba.core.codegen import JITCodeLibrary, JITCPUCodegen
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import PassManager, register_pass
from numba.core.environment import lookup_environment
from numba.core.registry import CPUDispatcher, CPUTarget, cpu_target
from numba.core.typed_passes import AnnotateTypes, NativeLowering, NopythonRewrites
from numba.core.types.misc import unliteral
from numba.core.untyped_passes import InlineClosureLikes

from .isa import ISA


class _Library(JITCodeLibrary):
    """The code of a function. A ``part`` of others has no machine code of its own, a whole is part of none."""

    def __init__(self, codegen, name, part=False):
        super().__init__(codegen, name)
        self._part = part

    def _optimize_final_module(self):
        if not self._part:
            for variable, _ in self._environments():
                variable.linkage = "linkonce_odr"  # which goes where nothing needs it, and is not loaded then
            super()._optimize_final_module()

    def _finalize_final_module(self):
        if not self._part:
            super()._finalize_final_module()
            for variable, environment in self._environments():
                self._codegen.set_env(variable.name, environment)
        self._finalized = True

    def _environments(self):
        """Where the functions in here have what they raise, and what stands there."""
        found = ((variable, lookup_environment(variable.name)) for variable in self._final_module.global_variables)
        return [(variable, environment) for variable, environment in found if environment]

    def serialize_using_object_code(self):
        if self._part:
            return self.name, "part", self._get_module_for_linking().as_bitcode()
        module = self._final_module
        names = [value.name for value in (*module.functions, *module.global_variables) if not value.is_declaration]
        return self.name, "whole", (self._get_compiled_object(), names)

    @classmethod
    def _unserialize(cls, codegen, state):
        name, kind, data = state
        library = codegen.create_library(name, part=kind == "part")
        if library._part:
            library._shared_module = llvm.parse_bitcode(data)
            library._finalized = True
            return library
        code, names = data
        library.enable_object_caching()
        library._set_compiled_object(code)
        library._finalize_final_module()
        codegen._engine._defined_symbols.update(names)
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
    """numba's, with the libraries from above.

    Without what kernels have no use for: closures, expressions of whole arrays, and a text that tells the types.
    """

    def define_pipelines(self):
        pipeline = PassManager("kernel")
        for step, text in DefaultPassBuilder.define_nopython_pipeline(self.state).passes:
            if step not in (InlineClosureLikes, NopythonRewrites, AnnotateTypes):
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

    def __init__(self, py_func, locals=None, targetoptions=None):
        super().__init__(py_func, locals or {}, targetoptions or {}, _Compiler)

    @property
    def is_part(self):
        """Whether this is compiled for other compiled functions alone."""
        return self.targetoptions.items() >= PART.items()

    @cached_property
    def part(self):
        """The same function, compiled to be a part of others."""
        return self if self.is_part else type(self)(self.py_func, targetoptions=self.targetoptions | PART)

    def get_call_template(self, args, kws):
        """Have a part compiled; constants are numbers like others to it, or it would be compiled for each."""
        args, kws = [unliteral(arg) for arg in args], {name: unliteral(arg) for name, arg in dict(kws).items()}
        return super(Dispatcher, self.part).get_call_template(args, kws)

    def get_overload(self, sig):
        return super(Dispatcher, self.part).get_overload(sig)
