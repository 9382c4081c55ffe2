"""A team of threads that share the parts of one job.

The team is a block of int64 words. Its owner, one Python thread, posts a job of so many parts; every member takes
the next part that nobody has taken yet, the owner included, until none is left. A member that the operating system
keeps waiting therefore costs nothing but its help. A part writes its own piece of the output, so that the result is
the same whoever computes it. Waiting members spin for a moment and then sleep.

A job is a compiled function and its arguments, wrapped by ``package``; the function is called with the arguments,
the number of its part, and the number of the member who runs it, whose scratch memory it may use.
"""

import sys
import time

from llvmlite import ir
from numba import types
from numba.core import cgutils, config
from numba.extending import intrinsic

from ._jit import kernel
from .cores import LEAVE_WORDS, current_core, leave_core
from .instructions import operands
from .isa import SCRATCH_BYTES, ZERO_BYTES
from .machine import FIXED, Machine
from .memory import atomic_add, atomic_load, atomic_replace, atomic_store, load, relaxed_load, relaxed_store, store

# Words of the team, those that several threads write a cache line apart.
SIZE, STOP, FUNCTION, ARGUMENTS, CORE, SCRATCH, TILES32, TILES64, GEMM32, GEMM64, MEMBERS_OWN, MACHINE = range(12)
GENERATION, TICKET, LEFT, SLEEPERS = 16, 24, 32, 40
MUTEX, CONDITION = 64, 80
LAST, IN_A_ROW = 90, 91  # when the last job began while a member slept, and how many such came one after the other
ALONE, PATIENCE, CLOCK = 92, 93, 94  # jobs to be done without help, how many after the next stall, seconds and rest
POSTED = 89  # parts of all jobs that were shared
CORES = 96  # in the words of a member's own team: room for ``leave_core``
TEAM_WORDS = CORES + LEAVE_WORDS

NO_TEAM = 0  # as the address of one: of a call of at most LEAST_SHARED - 1 parts, which is never shared
LEAST_SHARED = 3

CHUNK = FIXED.chunk

HIGH = 1 << 32  # the unit of the high half of a ticket
NEVER = 1 << 62  # nanoseconds: later than any time

THREADS_WORK = sys.platform != "win32"  # members sleep by pthread_cond_wait


@kernel(inline=True)
def parts_of(n):
    """How many parts elementwise work on ``n`` elements has."""
    return (n + CHUNK - 1) // CHUNK


@kernel(inline=True)
def part_of(n, part):
    """First and past-the-last element of a part of elementwise work on ``n`` elements.

    Loop over the slice between them: an index that might be negative, for all numba knows, is not vectorised.
    """
    return part * CHUNK, min(n, (part + 1) * CHUNK)


@kernel(inline=True)
def machine_of(team):
    """The numbers of the ``Machine`` that a team works on."""
    return operands(Machine, load(team + 8 * MACHINE))


@kernel(inline=True)
def scratch_of(team, member):
    """The address of a member's SCRATCH_BYTES, which hold whatever whoever used them last left there."""
    return load(team + 8 * SCRATCH) + (ZERO_BYTES + SCRATCH_BYTES) * member + ZERO_BYTES


@kernel(inline=True)
def alone_of(team, member):
    """A team that a member is alone in, with its scratch memory: for work that is a part of shared work already.

    That of a member who is alone already is the same.
    """
    return load(team + 8 * MEMBERS_OWN) + 8 * TEAM_WORDS * member


@intrinsic
def relax(typingctx):
    """The CPU's hint that this thread waits in a loop, where it has one."""

    def codegen(context, builder, signature, arguments):
        if builder.module.triple.startswith(("x86_64", "i686")):
            hint = ir.FunctionType(ir.VoidType(), [])
            builder.call(cgutils.get_or_insert_function(builder.module, hint, "llvm.x86.sse2.pause"), [])
        return context.get_dummy_value()

    return types.void(), codegen


def _external(name: str, n_pointers: int):
    """The C library's ``int name(void *, ...)``."""
    return types.ExternalFunction(name, types.int32(*[types.int64] * n_pointers))


if THREADS_WORK:
    mutex_init = _external("pthread_mutex_init", 2)
    mutex_lock = _external("pthread_mutex_lock", 1)
    mutex_unlock = _external("pthread_mutex_unlock", 1)
    condition_init = _external("pthread_cond_init", 2)
    condition_wait = _external("pthread_cond_wait", 2)
    condition_broadcast = _external("pthread_cond_broadcast", 1)
    sched_yield = _external("sched_yield", 0)
    clock_gettime = types.ExternalFunction("clock_gettime", types.int32(types.int32, types.int64))
    MONOTONIC = time.CLOCK_MONOTONIC


@intrinsic
def package(typingctx, function, arguments):
    """Addresses of a function of one form, and of its arguments, for a team to call.

    ``function(*arguments, part, member)`` returns nothing and never raises. Both addresses hold until the caller of
    ``package`` returns.
    """
    inner = typingctx.resolve_function_type(function, (*arguments.types, types.int64, types.int64), {})
    result = types.UniTuple(types.int64, 2)

    def codegen(context, builder, signature, values):
        form = context.call_conv.get_function_type(types.none, (types.int64,) * 3)
        name = context.mangler(f"{function.dispatcher.__name__}.part", (arguments,))
        wrapper = ir.Function(builder.module, form, builder.module.get_unique_name(name))
        wrapper.linkage = "internal"
        context.call_conv.decorate_function(wrapper, ["arguments", "part", "member"], (types.int64,) * 3)
        inside = ir.IRBuilder(wrapper.append_basic_block("entry"))
        address, part, member = context.call_conv.get_arguments(wrapper)
        packed = context.get_value_type(arguments)
        unpacked = inside.load(inside.inttoptr(address, packed.as_pointer()))
        call = context.get_function(function, inner)
        context.add_linking_libs(getattr(call, "libs", ()))
        call(inside, [*cgutils.unpack_tuple(inside, unpacked), part, member])
        context.call_conv.return_value(inside, context.get_dummy_value())

        slot = cgutils.alloca_once_value(builder, values[1])
        word = ir.IntType(64)
        return context.make_tuple(builder, result, [builder.ptrtoint(wrapper, word), builder.ptrtoint(slot, word)])

    return result(function, arguments), codegen


@intrinsic
def _call(typingctx, function, arguments, part, member):
    """Call what ``package`` made."""

    def codegen(context, builder, signature, values):
        form = context.call_conv.get_function_type(types.none, (types.int64,) * 3)
        target = builder.inttoptr(values[0], form.as_pointer())
        context.call_conv.call_function(builder, target, types.none, (types.int64,) * 3, values[1:])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), codegen


@kernel
def _take(team, member):
    """The number of a part that nobody has taken; -1 where all are.

    The parts left are those from the low to the high half of the ticket. Even members take from the low end, odd ones
    from the high end: of one job after the other, a member then mostly meets the part of the data that it has in its
    core's cache.
    """
    while True:
        ticket = atomic_load(team + 8 * TICKET)
        low, high = ticket & (HIGH - 1), ticket >> 32
        if low >= high:
            return -1
        if member & 1:
            if atomic_replace(team + 8 * TICKET, ticket, ticket - HIGH):
                return high - 1
        elif atomic_replace(team + 8 * TICKET, ticket, ticket + 1):
            return low


@kernel
def _take_parts(team, member):
    """Run parts of the posted job until none is left to take."""
    while True:
        part = _take(team, member)
        if part < 0:
            return
        # The job stands still from here on: it cannot end before this part is done.
        _call(load(team + 8 * FUNCTION), load(team + 8 * ARGUMENTS), part, member)
        atomic_add(team + 8 * LEFT, -1)


@kernel
def spread(team, parts, job, least=0):
    """Have the team whose words start at address ``team`` do all ``parts`` of ``job``; return when they are done.

    Fewer than ``least`` parts, by default those that the machine asks for, are done by the owner alone.
    """
    function, arguments = job
    shared = parts > 1 and team != NO_TEAM and load(team + 8 * SIZE) > 1
    if shared:
        shared = parts >= (least if least > 0 else machine_of(team).least_parts)
    if shared and load(team + 8 * ALONE) > 0:
        store(team + 8 * ALONE, load(team + 8 * ALONE) - 1)
        shared = False
    first = 0
    if shared and atomic_load(team + 8 * SLEEPERS) > 0:
        first = _begin_alone(team, parts, function, arguments)
        shared = first < parts
    if not shared:
        for part in range(first, parts):
            _call(function, arguments, part, 0)
        return
    store(team + 8 * FUNCTION, function)
    store(team + 8 * ARGUMENTS, arguments)
    relaxed_store(team + 8 * CORE, current_core())
    store(team + 8 * POSTED, load(team + 8 * POSTED) + parts - first)
    atomic_store(team + 8 * LEFT, parts - first)
    atomic_store(team + 8 * TICKET, parts * HIGH + first)
    _wake(team)
    begin = nanoseconds(team)
    _take_parts(team, 0)
    done = nanoseconds(team)
    spins, most = 0, machine_of(team).spins
    while atomic_load(team + 8 * LEFT) > 0:
        relax()
        spins += 1
        if spins > most:
            _give_way()
    _learn(team, done - begin, nanoseconds(team) - done)


@kernel
def _follows_many(team):
    """Count a job that begins while a member sleeps; returns whether it is one of many in a row."""
    now, machine = nanoseconds(team), machine_of(team)
    in_a_row = load(team + 8 * IN_A_ROW) + 1 if now - load(team + 8 * LAST) < machine.pause else 1
    store(team + 8 * LAST, now)
    store(team + 8 * IN_A_ROW, in_a_row)
    return in_a_row > machine.many_in_a_row


@kernel
def has_help(team):
    """Whether members of a team would help with a short job: they are awake, or about to be woken."""
    return atomic_load(team + 8 * SLEEPERS) == 0 or _follows_many(team)


@kernel
def call_for_help(team):
    """Have members that sleep woken for the next job, however short and whenever, as for one of many in a row."""
    store(team + 8 * IN_A_ROW, machine_of(team).many_in_a_row)
    store(team + 8 * LAST, NEVER)


@kernel
def _begin_alone(team, parts, function, arguments):
    """Do parts of a job until the rest is worth waking members for; returns how many.

    A member that sleeps is awake too late for a short job, and to wake it costs the owner more than the help is worth:
    where other programs wait for its core, milliseconds. It is woken for longer work, and where many jobs come one
    after the other, with short pauses: it does not fall asleep again between such.
    """
    part, waking = 0, machine_of(team).waking
    if not _follows_many(team):
        begin = load(team + 8 * LAST)
        while part < parts:
            _call(function, arguments, part, 0)
            part += 1
            if (nanoseconds(team) - begin) * (parts - part) > waking * part:
                break
    return part


@kernel
def _learn(team, worked, waited):
    """Draw the consequences of how long the owner ``worked`` on a job and then ``waited`` for help, in nanoseconds.

    Where it waits for longer than it worked itself, a member lost its core to another program in the middle of a part.
    The next jobs are then done without help, after each further stall twice as many.
    """
    patience, machine = load(team + 8 * PATIENCE), machine_of(team)
    if waited > machine.stall and waited > worked:
        patience = min(machine.most_alone, max(1, 2 * patience))
        store(team + 8 * ALONE, patience)
    elif patience > 0:
        patience -= 1
    store(team + 8 * PATIENCE, patience)


@kernel
def _leave_owner(team, member):
    """Leave the owner's core if this member runs on it.

    To the kernel of a virtual machine, an idle core that its host has put to sleep looks taken. It then starts or wakes
    a thread on the core of whoever does so, and the two take turns there, for a tenth of a second.
    """
    core = relaxed_load(team + 8 * CORE)  # of a later job, where this member comes late
    if current_core() == core:
        leave_core(core, alone_of(team, member) + 8 * CORES)


if THREADS_WORK and not config.DISABLE_JIT:

    @kernel
    def _give_way():
        sched_yield()

    @kernel
    def nanoseconds(team):
        """A time that goes on whatever happens to the system's clock; for the owner of ``team``."""
        clock_gettime(MONOTONIC, team + 8 * CLOCK)
        return load(team + 8 * CLOCK) * 1_000_000_000 + load(team + 8 * CLOCK + 8)

    @kernel
    def _wake(team):
        atomic_add(team + 8 * GENERATION, 1)
        if atomic_load(team + 8 * SLEEPERS) > 0:
            mutex_lock(team + 8 * MUTEX)
            condition_broadcast(team + 8 * CONDITION)
            mutex_unlock(team + 8 * MUTEX)
            sched_yield()  # to a member that woke on this core, and leaves it

    @kernel
    def prepare(team):
        """Make the locks of a team whose words are still zero."""
        mutex_init(team + 8 * MUTEX, 0)
        condition_init(team + 8 * CONDITION, 0)

    @kernel
    def dismiss(team):
        """Have every member return from ``serve``."""
        atomic_store(team + 8 * STOP, 1)
        _wake(team)

    @kernel
    def serve(team, member):
        """Help the owner of ``team`` as its member number ``member`` >= 1, until dismissed."""
        seen = 0
        while True:
            spins, most = 0, machine_of(team).spins
            while atomic_load(team + 8 * GENERATION) == seen and spins < most:
                relax()
                spins += 1
            if atomic_load(team + 8 * GENERATION) == seen:
                _sleep(team, seen)
            seen = atomic_load(team + 8 * GENERATION)
            if atomic_load(team + 8 * STOP):
                return
            _leave_owner(team, member)
            _take_parts(team, member)

    @kernel
    def _sleep(team, seen):
        mutex_lock(team + 8 * MUTEX)
        atomic_add(team + 8 * SLEEPERS, 1)
        while atomic_load(team + 8 * GENERATION) == seen:
            condition_wait(team + 8 * CONDITION, team + 8 * MUTEX)
        atomic_add(team + 8 * SLEEPERS, -1)
        mutex_unlock(team + 8 * MUTEX)

else:

    @kernel
    def _give_way():
        relax()

    @kernel
    def nanoseconds(team):
        """Nothing: there is no one to wait for."""
        return 0

    @kernel
    def _wake(team):
        atomic_add(team + 8 * GENERATION, 1)
