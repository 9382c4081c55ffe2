"""Memory for NumPy's arrays between pages that nobody may touch, every other byte around them known and looked at.

An array begins, or ends, at such a page: what reads or writes one element too many on that side ends the process. What
is left of its own pages holds a pattern, which is looked at when the array goes.
"""

import ctypes
import gc
import mmap
from contextlib import contextmanager

import numpy as np

PAGE, SLACK, FRESH = mmap.PAGESIZE, b"\xa5", b"\xff"  # FRESH makes NaN of every float
SET_HANDLER = 304  # in the table of NumPy's functions: PyDataMem_SetHandler
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_size, _at = ctypes.c_size_t, ctypes.c_void_p
_MALLOC = ctypes.CFUNCTYPE(_at, _at, _size)
_CALLOC = ctypes.CFUNCTYPE(_at, _at, _size, _size)
_REALLOC = ctypes.CFUNCTYPE(_at, _at, _at, _size)
_FREE = ctypes.CFUNCTYPE(None, _at, _at, _size)


class _Handler(ctypes.Structure):
    """NumPy's PyDataMem_Handler."""

    _fields_ = (
        ("name", ctypes.c_char * 127),
        ("version", ctypes.c_uint8),
        ("context", _at),
        ("malloc", _MALLOC),
        ("calloc", _CALLOC),
        ("realloc", _REALLOC),
        ("free", _FREE),
    )


class Fence:
    """What NumPy allocates from, once ``standing``; ``touched`` tells of arrays beside which something was written.

    ``at_end`` says which side of the next arrays is at a page that nobody may touch; ``count`` how many there were.
    """

    def __init__(self):
        self.at_end, self.count, self.touched = True, 0, []
        self._held = {}
        functions = (
            _MALLOC(lambda _, n: self._new(n, FRESH)),
            _CALLOC(lambda _, n, size: self._new(n * size, b"\0")),
            _REALLOC(lambda _, at, n: self._moved(at, n)),
            _FREE(lambda _, at, n: self._gone(at)),
        )
        self._handler = _Handler(b"fence", 1, None, *functions)
        capsule = ctypes.PYFUNCTYPE(ctypes.py_object, _at, ctypes.c_char_p, _at)(("PyCapsule_New", ctypes.pythonapi))
        self._capsule = capsule(ctypes.addressof(self._handler), b"mem_handler", None)

    def _new(self, n, content):
        n = max(n, 1)
        room = -(-n // PAGE) * PAGE
        base = _libc.mmap(None, room + 2 * PAGE, 0, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
        if base in (None, ctypes.c_void_p(-1).value):
            return None
        first = base + PAGE
        if _libc.mprotect(first, room, mmap.PROT_READ | mmap.PROT_WRITE):
            return None
        at = first + room - n if self.at_end else first
        ctypes.memset(first, SLACK[0], room)
        ctypes.memset(at, content[0], n)
        self._held[at] = first, room, n
        self.count += 1
        return at

    def _gone(self, at):
        if at is None:
            return
        first, room, n = self._held.pop(at)
        self._look(at, first, room, n)
        _libc.munmap(first - PAGE, room + 2 * PAGE)

    def _moved(self, at, n):
        new = self._new(n, FRESH)
        if new and at:
            ctypes.memmove(new, at, min(n, self._held[at][2]))
            self._gone(at)
        return new

    def _look(self, at, first, room, n):
        for begin, length in ((first, at - first), (at + n, first + room - at - n)):
            if ctypes.string_at(begin, length) != SLACK * length:
                self.touched.append(f"{n} bytes, {'at' if self.at_end else 'not at'} the end")

    @contextmanager
    def standing(self):
        """New arrays of this thread are inside; at the end those that still are there are looked at."""
        table = _pointer_in(np._core._multiarray_umath._ARRAY_API, None)
        address = ctypes.c_size_t.from_address(table + ctypes.sizeof(ctypes.c_size_t) * SET_HANDLER).value
        set_handler = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(address)
        before = set_handler(self._capsule)
        try:
            yield self
        finally:
            set_handler(before)
        gc.disable()  # it would let go of arrays meanwhile
        for at, held in self._held.items():
            self._look(at, *held)
        gc.enable()


_pointer_in = ctypes.PYFUNCTYPE(ctypes.c_size_t, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)
