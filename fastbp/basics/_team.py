"""Who owns the threads: one team for each Python thread that calls kernels.

The main thread's team has as many members as there are cores; a team of any other Python thread has one, so that a
pool of workers does not multiply into pool x cores threads, unless that thread asks for more with
``set_num_threads``. Whoever asks for more threads than cores has a team of as many members as cores: results are the
same, and members that take turns on a core only keep each other waiting. Members are threads that sit in compiled code
and sleep while there is nothing to do. They start with the first call of a kernel that has work for them, never at
import, and a forked child starts its own.
"""

import atexit
import ctypes
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from math import ceil
from pathlib import Path
from typing import TypeVar

import numpy as np
from llvmlite.binding import ffi
from numba import types, void
from numba.core import config
from numba.core.compiler_lock import global_compiler_lock

from fastbp.basics import _arguments, _machine
from fastbp.kernels import team as kernels
from fastbp.kernels._interrupts import uninterrupted
from fastbp.kernels._jit import NUMBA_TYPES, compiled_address
from fastbp.kernels.gemm import planned_product
from fastbp.kernels.isa import LINE_BYTES
from fastbp.kernels.tile import tile_table

R = TypeVar("R")

POLL = 2e-4  # seconds

_GEMM = {
    np.dtype(np.float32): (kernels.TILES32, kernels.GEMM32),
    np.dtype(np.float64): (kernels.TILES64, kernels.GEMM64),
}


def _aligned_zeros(n_bytes: int) -> np.ndarray:
    """``n_bytes`` zero bytes from the start of a cache line on."""
    block = np.zeros(n_bytes + LINE_BYTES, np.uint8)
    start = -block.ctypes.data % LINE_BYTES
    return block[start : start + n_bytes]


class Team:
    """A team's words and scratch memory, and the threads of its members; ``address`` is what kernels take.

    Attributes
    ----------
    asked : threads that were asked for
    size : its members, the owner included: as many, but no more than there are cores
    members_own : address of the teams that each member is alone in; the first is the owner's
    """

    def __init__(self, asked: int) -> None:
        self.asked = asked
        self.size = size = 1 if asked == 1 else min(asked, most_members())  # to ask for the cores takes a while
        member_bytes = kernels.ZERO_BYTES + kernels.SCRATCH_BYTES
        self._scratch = _aligned_zeros(member_bytes * size)
        # The team's own words, then those of each member's team of one.
        self._words = _aligned_zeros(8 * kernels.TEAM_WORDS * (1 + size)).view(np.int64)
        teams = self._words.reshape(1 + size, kernels.TEAM_WORDS)
        teams[:, kernels.SIZE] = [size] + [1] * size
        scratch = self._scratch.ctypes.data
        self._machine = _machine.words()
        teams[:, kernels.MACHINE] = self._machine.ctypes.data
        teams[:, kernels.SCRATCH] = [scratch] + [scratch + member_bytes * member for member in range(size)]
        self._teams = teams
        self.address = self._words.ctypes.data
        self.members_own = own = self.address + 8 * kernels.TEAM_WORDS
        teams[:, kernels.MEMBERS_OWN] = [own] + [own + 8 * kernels.TEAM_WORDS * member for member in range(size)]
        if size > 1:
            kernels.prepare(self.address)
            kernels.serve.compile(void(types.int64, types.int64))
            kernels.dismiss.compile(void(types.int64))
            with uninterrupted():
                self._start()
        _teams.add(self)

    def _start(self) -> None:
        """Start the members, all or none."""
        memory = (self._words, self._scratch, self._machine)  # outlives the team for as long as a member runs
        threads: list[threading.Thread] = []
        end = weakref.finalize(self, _dismiss, memory, threads, os.getpid())
        for member in range(1, self.size):
            thread = threading.Thread(target=_serve, args=(memory, member), name=f"fastbp-{member}", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                end()
                raise RuntimeError(
                    f"the system lets only {member} of {self.size} threads start: ask for fewer, with "
                    "set_num_threads(n), fit(threads=n) or the environment variable NUMBA_NUM_THREADS"
                ) from error
            threads.append(thread)

    def learn_gemm(self, dtype: np.dtype) -> None:
        """Make the matrix product of ``dtype`` known to the team; compiles it at the first use in the process."""
        tiles, gemm = _GEMM[dtype]
        if not self._words[gemm]:
            self._teams[:, tiles] = tile_table(dtype.type(1))
            self._teams[:, gemm] = compiled_address(
                planned_product, void(*[types.int64] * 6, NUMBA_TYPES[dtype], *[types.int64] * 3)
            )


def _serve(memory: tuple[np.ndarray, ...], member: int) -> None:
    kernels.serve(memory[0].ctypes.data, member)


def _dismiss(memory: tuple[np.ndarray, ...], threads: list[threading.Thread], process: int) -> None:
    if os.getpid() != process:  # a fork copies the words but not the threads, perhaps with their lock held
        return
    kernels.dismiss(memory[0].ctypes.data)
    ending = all(thread.ident != threading.get_ident() for thread in threading.enumerate())
    for thread in threads:
        if not ending:
            thread.join()
        # The thread whose team it was is no longer on Python's list, and join would enter it there again, for ever.
        while thread.is_alive():
            time.sleep(POLL)


_local = threading.local()
_teams: weakref.WeakSet[Team] = weakref.WeakSet()


@atexit.register
def _keep_to_the_end() -> None:
    """Never free a team's memory any more: a daemon thread may be at work in it while the interpreter is torn down."""
    for team in list(_teams):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(team))


def _forget() -> None:
    global _local
    _local = threading.local()


@uninterrupted()
def _hold_compilers() -> None:
    """Wait until no other thread is within LLVM, whose lock a child would find taken for ever."""
    global_compiler_lock.acquire()  # first, as whoever compiles takes it
    ffi.lib._lock._lock.acquire()


def _release_compilers() -> None:
    ffi.lib._lock._lock.release()
    global_compiler_lock.release()


def _in_child() -> None:
    _release_compilers()
    _forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_hold_compilers, after_in_parent=_release_compilers, after_in_child=_in_child)


def current() -> Team:
    """The calling thread's team, made at its first use."""
    try:
        return _local.team
    except AttributeError:
        _local.team = Team(_size_at_first())
        return _local.team


def address() -> int:
    """What kernels take of the calling thread's team."""
    try:
        return _local.team.address
    except AttributeError:
        return current().address


def _size_at_first() -> int:
    """Of the calling thread's team, unless it asks for another."""
    return default_num_threads() if threading.current_thread() is threading.main_thread() else 1


def address_for(dtype: np.dtype) -> int:
    """The address of the calling thread's team, which then knows the matrix product of ``dtype``."""
    learn(dtype)
    return address()


def learn(dtype: np.dtype) -> None:
    """Make the matrix product of ``dtype`` known to the calling thread's team."""
    current().learn_gemm(dtype)


def default_num_threads() -> int:
    """NUMBA_NUM_THREADS where it is set, else the cores this process may use, a container's quota included."""
    if not kernels.THREADS_WORK:
        return 1
    if "NUMBA_NUM_THREADS" in os.environ:
        return config.NUMBA_NUM_THREADS
    return _usable_cores()


def most_members() -> int:
    """Of a team: more than there are cores would take turns on them."""
    return _usable_cores()


def _usable_cores() -> int:
    """The cores that this process may use now, a container's quota included."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, ceil(min(cores, _cpu_quota())))


def _cpu_quota() -> float:
    """Cores that the quotas of this process's control groups allow, infinity where there is none (cgroup v2 and v1)."""
    return min(map(_quota_of, _control_groups()))


def _control_groups() -> Iterator[Path]:
    """The folders of the groups that this process is in, and of those around them; a container sees its own as "/"."""
    try:
        groups = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        groups = []
    for line in ("0::/", "1:cpu:/", *groups):
        controllers, group = line.split(":", 2)[1:]
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = Path("/sys/fs/cgroup/cpu" if controllers else "/sys/fs/cgroup")
        inner = root / group.lstrip("/")
        yield from (folder for folder in (inner, *inner.parents) if folder.is_relative_to(root))


def _quota_of(group: Path) -> float:
    try:
        quota, period = (group / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota, period = ((group / f"cpu.cfs_{word}_us").read_text().strip() for word in ("quota", "period"))
        except OSError:
            return float("inf")
    return float("inf") if quota in ("max", "-1") else int(quota) / int(period)


def get_num_threads() -> int:
    """Threads that kernels called from this Python thread may use."""
    team = getattr(_local, "team", None)
    return _size_at_first() if team is None else team.asked


def set_num_threads(n: int) -> None:
    """Let kernels called from this Python thread use ``n`` threads, no more of them than there are cores.

    Results are the same bits for any ``n``.

    Raises
    ------
    TypeError, ValueError
        Unless ``n`` is an integer of at least 1.
    RuntimeError
        Where the system has no more threads.
    """
    _work_with(_arguments.integer("n", n, 1))


def _work_with(n: int) -> None:
    team = getattr(_local, "team", None)
    if not kernels.THREADS_WORK:
        n = 1
    if team is None or team.asked != n:
        with uninterrupted():
            _local.team = Team(n)
            del team  # the one from before, which is dismissed here and not at the end of the function


def with_threads(n: int | None, function: Callable[[], R]) -> R:
    """What ``function()`` returns where the calling thread's kernels use ``n`` threads, as many as before if None.

    The team from before is kept, so that going back starts no thread.
    """
    if n is None:
        return function()
    n = _arguments.integer("threads", n, 1)
    place = _local.__dict__  # of the process that enters, should the function fork
    before = used = place.get("team")
    try:
        _work_with(n)
        used = place.get("team")
        return function()
    finally:
        # Ctrl-C is heard at calls: there is none until the team is the one from before.
        if before is None:
            place.pop("team", None)
        else:
            place["team"] = before
        with uninterrupted():
            del used
