"""How a kernel is compiled, and where its machine code comes from and is kept.

``@kernel`` is the one decorator of this folder. It compiles at the first call, with ``nogil``, NumPy's rules for
division (Python's check for a zero divisor keeps a loop from being vectorised) and one fast-math flag, ``contract``,
which lets a product and a sum become one fused multiply-add. The others are left out because they change answers:
``nnan`` and ``ninf`` hide a diverging run, ``reassoc`` breaks the rounding inside ``exp``.
"""

import gc
import hashlib
import os
import pickle
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy as np
from numba import types
from numba.core import caching, config
from numba.core.compiler_lock import global_compiler_lock
from numba.core.runtime import rtsys
from numba.extending import register_jitable

from ._interrupts import uninterrupted
from ._private import private_folder, read_private, writing_private
from ._target import PART, Dispatcher
from .isa import ISA

NUMBA_TYPES = {np.dtype(np.float32): types.float32, np.dtype(np.float64): types.float64}
"""Numba's types of the numbers that networks are made of."""


def digest_of_sources() -> bytes:
    """Hash of the kernels' files as they are now."""
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.digest()


# Of the files that this process runs: those on disk may be another version's by the time that a kernel is compiled.
_SOURCES = digest_of_sources()


@cache
def build_tag() -> str:
    """Hash of all that machine code depends on and that numba's own cache key leaves out.

    numba looks at the file of the function it loads, not at the files of the functions that one calls, nor at the
    settings below; machine code kept under another tag is never used.
    """
    numba_settings = config.BOUNDSCHECK, config.OPT, config.USING_SVML
    settings = numba.__version__, llvmlite.__version__, ISA, *numba_settings, object.__basicsize__
    return hashlib.sha256(_SOURCES + repr(settings).encode()).hexdigest()


CARRIED = Path(__file__).parent / "machine_code"
"""Where a wheel has its machine code, one folder for each ``kind``; fastbp.commands._carry makes it."""


def kind() -> str:
    """Name of the machine code that this process makes and runs."""
    return f"{ISA.name}-numba{numba.__version__}-{sys.implementation.cache_tag}-{build_tag()[:16]}"


@cache
def carried() -> str:
    """The folder of the machine code that came with the package; OSError that says why where there is none to use."""
    if (folder := CARRIED / kind()).is_dir():
        return private_folder(str(folder))
    kinds = sorted(path.name for path in CARRIED.glob("*-*")) if CARRIED.is_dir() else []
    raise FileNotFoundError(f"this is {kind()}, the package has {' and '.join(kinds) or 'none'}")


REFUSED: dict[str, str] = {}
"""Folders that were not taken for the cache, and why."""


class _PrivateLocator:
    """Comes before one of numba's locators: the folder is one that only this user and root can write to."""

    _cache_path: str

    def ensure_cache_path(self):
        try:
            self._cache_path = private_folder(self._cache_path)
            tempfile.TemporaryFile(dir=self._cache_path).close()
        except OSError as error:
            REFUSED[self._cache_path] = str(error)
            raise


def _locator(name: str) -> Any:
    """One of numba's, whose name has an underscore in old versions."""
    return getattr(caching, name, None) or getattr(caching, f"_{name}")


_Provided: Any = _locator("UserProvidedCacheLocator")
_Beside: Any = _locator("InTreeCacheLocator")
_OfAccount: Any = _locator("UserWideCacheLocator")


class _Named(_PrivateLocator, _Provided): ...


class _InTree(_PrivateLocator, _Beside): ...


class _OfUser(_PrivateLocator, _OfAccount): ...


class _OfPackage(_Beside):
    def ensure_cache_path(self):
        if Path(self._py_file).parent != CARRIED.parent:
            raise FileNotFoundError(f"{self._py_file} is none of the package's kernels")
        self._cache_path = carried()


class _KeptImpl(caching.CompileResultCacheImpl):
    """Where NUMBA_CACHE_DIR names a folder, it is that one or none."""

    @property
    def _locator_classes(self):
        return [_Named] if config.CACHE_DIR else [_InTree, _OfUser]


class _CarriedImpl(caching.CompileResultCacheImpl):
    _locator_classes = (_OfPackage,)


def argument_types(signature: Any) -> Any:
    """The types of the arguments, of a signature with its result or of these alone."""
    return getattr(signature, "args", signature)


class _ByArguments(caching.FunctionCache):
    """What is compiled for a signature, which names a result too, is found by a call, which knows its arguments."""

    def _index_key(self, sig, codegen):
        return super()._index_key(argument_types(sig), codegen)


class _Kept(_ByArguments):
    _impl_class = _KeptImpl


class _Carried(_ByArguments):
    _impl_class = _CarriedImpl


DIGEST_SIZE = hashlib.sha256().digest_size


class StaleError(Exception):
    """A file of the cache is not what this build wrote for this use."""


class CheckedFile(caching.IndexDataCacheFile):
    """numba's cache files, each behind a digest, read only where it is right and no other user can have written them.

    The digest is of the content, of what that belongs to (the key of machine code, the name of an index) and of the
    build tag.

    Machine code with a flipped bit would run, and so would that of another build, left behind by a process that ended
    between writing the index and the code. A damaged pickle may run anything, or ask for any amount of memory.
    """

    _key: object = None

    def save(self, key, data):
        self._key = key
        super().save(key, data)

    def load(self, key):
        self._key = key
        return super().load(key)

    def _load_index(self):
        try:
            return self._read(self._index_path, self._index_name)
        except (FileNotFoundError, StaleError):
            return {}

    def _save_index(self, overloads):
        self._write(self._index_path, self._index_name, overloads)

    def _load_data(self, name):
        return self._read(self._data_path(name), self._key)

    def _save_data(self, name, data):
        self._write(self._data_path(name), self._key, data)

    def _read(self, path: str, owner: object) -> Any:
        """What was written to a file for ``owner``; StaleError, before any of it is unpickled, where that is else."""
        content = read_private(path)
        digest, pickled = content[:DIGEST_SIZE], content[DIGEST_SIZE:]
        if digest != self._digest(owner, pickled):
            raise StaleError(f"{path} is damaged, or of another build")
        return pickle.loads(pickled)

    def _write(self, path: str, owner: object, data: object) -> None:
        pickled = self._dump(data)
        with writing_private(path) as file:
            file.write(self._digest(owner, pickled) + pickled)

    def _digest(self, owner: object, pickled: bytes) -> bytes:
        return hashlib.sha256(f"{self._source_stamp} {owner}".encode() + pickled).digest()


def _opened(kind_of_cache, function, prefix="") -> caching.FunctionCache | None:
    """Open numba's cache of ``function`` with ``CheckedFile``; None where there is no folder for it."""
    try:
        cache = kind_of_cache(function)
        folder = private_folder(cache.cache_path)  # which a setting of numba may have chosen
    except (RuntimeError, OSError):
        return None
    cache._cache_file = CheckedFile(folder, prefix + cache._impl.filename_base, build_tag())
    return cache


def _loaded(cache, sig, target_context):
    """Return what the cache has, as numba's ``load_overload`` does but for what is needed to compile.

    To import that takes as long as all else that a process does before its first step. If anything is compiled
    later, numba's compiler sees to it.
    """
    rtsys.initialize(target_context)
    return cache._load_overload(sig, target_context)


class KernelCache:
    """numba's on-disk cache, opened at first use, never stale and never in the way.

    What came with the package is tried first, and only read. Anything that goes wrong on disk means compiling again: no
    place to write, or none that only this user can write to, a full disk, a file cut short or damaged.
    """

    found = 0  # functions that this process has not compiled

    def __init__(self, function, is_part):
        self._function = function
        self._is_part = is_part

    @cached_property
    def _carried(self) -> caching.FunctionCache | None:
        return None if self._is_part else _opened(_Carried, self._function)

    @cached_property
    def _kept(self) -> caching.FunctionCache | None:
        return _opened(_Kept, self._function, "part." if self._is_part else "")

    @property
    def cache_path(self) -> str | None:
        return self._kept.cache_path if self._kept else None

    def load_overload(self, sig, target_context):
        found = self._load_carried(sig, target_context) or self._load_kept(sig, target_context)
        if found:
            KernelCache.found += 1
        return found

    def _load_carried(self, sig, target_context):
        if self._carried is None:
            return None
        try:
            return _loaded(self._carried, sig, target_context)
        except Exception:  # a stale file, none that can be read, or what comes of making code of one
            return None

    def _load_kept(self, sig, target_context):
        if self._kept is None:
            return None
        try:
            return _loaded(self._kept, sig, target_context)
        except Exception:
            self.flush()
            return None

    def save_overload(self, sig, data) -> None:
        if self._kept is None:
            return
        try:
            self._kept.save_overload(sig, data)
        except (OSError, pickle.PickleError):
            self.flush()

    def flush(self) -> None:
        try:
            if self._kept is not None:
                self._kept.flush()
        except OSError:
            self._kept = None

    def enable(self) -> None: ...

    def disable(self) -> None: ...


@contextmanager
def _uncollected() -> Iterator[None]:
    """Have Python look for garbage after the block: it takes a tenth of the time to compile, and finds next to none."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class _Kernel(Dispatcher):
    def __init__(self, py_func, locals=None, targetoptions=None):
        super().__init__(py_func, locals, targetoptions)
        self._cache = KernelCache(py_func, self.is_part)

    @uninterrupted()
    @_uncollected()
    def compile(self, sig):
        return super().compile(sig)


def kernel(function=None, *, inline=False, by_address=False):
    """Compile ``function`` at its first call with fastbp's options; its machine code is kept on disk.

    ``inline`` functions become part of their callers, which a loop needs to be vectorised around them. What is
    inline, or has a name with an underscore in front, is called from compiled code only; what is to be called
    ``by_address`` from there alone too.
    """
    if function is None:
        return lambda f: kernel(f, inline=inline, by_address=by_address)
    if config.DISABLE_JIT:
        return function
    options = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}, "forceinline": inline}
    if by_address:
        options["no_cpython_wrapper"] = True
    elif inline or function.__name__.startswith("_"):
        options |= PART
    return _Kernel(function, targetoptions=options | {"nopython": True, "boundscheck": None})


def plain(function):
    """``function`` of numbers and tuples stays as it is, and is compiled where compiled code calls it."""
    return register_jitable(error_model="numpy", no_cfunc_wrapper=True, forceinline=True)(function)


if hasattr(os, "register_at_fork"):
    # A child would wait for ever for a thread of its parent that was compiling, and has none of what it was making.
    lock, unlock = global_compiler_lock.acquire, global_compiler_lock.release
    os.register_at_fork(before=uninterrupted()(lock), after_in_parent=unlock, after_in_child=unlock)


@cache
def compiled_address(dispatcher, signature) -> int:
    """Address of ``dispatcher`` compiled for ``signature``, callable by the C convention.

    Calling through an address, not by name, keeps a large callee out of the machine code of each of its callers,
    which numba would otherwise compile again with every one of them.
    """
    dispatcher.compile(signature)
    compiled = dispatcher.overloads[signature.args]
    return compiled.library.get_pointer_to_function(compiled.fndesc.llvm_cfunc_wrapper_name)
