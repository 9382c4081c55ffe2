"""The numbers that say where one way of computing gets faster than another, in one table.

Two kinds stand here, and a third does not:

- ``Machine``: numbers that change how fast something is and no bit of what it gives. A machine has its own; a row of
  ``ROWS`` says which it begins with, and ``fastbp tune`` measures those that matter. Machine code runs on all machines
  of a row of ``isa``, so these are no constants in it: teams hold them as words.
- ``Fixed``: numbers that a result depends on in its last bits, since they say where sums are cut and which code an
  element meets. They follow from the row of ``isa`` alone, so that results are equal on all machines that have it.
- What the form of the code follows from (rows of a tile, bytes of a vector, the layout of scratch memory, how many
  chains stand abreast) is in ``isa``, or beside the code that has this form.
"""

import math
from typing import NamedTuple

from .isa import ISA, SCRATCH_A


class FixedNumber(NamedTuple):
    """What a number of ``Fixed`` counts and says, and the rows of ``fastbp bench --full --only`` that show it."""

    unit: str
    meaning: str
    shown_by: str


class Fixed(NamedTuple):
    """Numbers that fix the bits of a result: nobody tunes them."""

    block_k: int = 4096
    steep: int = 2048
    steep_depth: int = 1024
    turn_rows: int = 64
    turn_columns: int = 128
    thin_columns: int = 512
    thin_depth: int = 128
    thin_bytes: int = 1 << 16
    narrow_depth: int = 24
    narrow_work: int = 1 << 11
    filled_depth: int = 96
    exchange_depth: int = 1024
    chunk: int = 1 << 15
    function_block: int = 1024
    softmax_part: int = 8192
    short_row: int = 32
    column_rows: int = 32
    slice_bytes: int = 128 << 10
    slice_rows: int = 64
    least_slices: int = 4
    slice_parameters: int = 1 << 16
    half_operations: int = 6_000_000
    half_parameters: int = 1 << 14
    slice_parts: int = 8
    predict_rows: int = 512
    image_bytes: int = 256 << 10
    group_bytes: int = 2 << 20
    partial_elements: int = 1 << 20


_Is = FixedNumber  # for a line each
FIXED_NUMBERS = {
    "block_k": _Is("bytes", "of k in a block of a large product", "gemm"),
    "steep": _Is("bytes", "a step of k of a multiple of these is steep: few sets of each cache are in use", "gemm"),
    "steep_depth": _Is("bytes", "of k from which on that matters", "gemm"),
    "turn_rows": _Is("rows", "of C from which on such an A is turned into rows, if C is as wide", "gemm"),
    "turn_columns": _Is("columns", "of C from which on it is: that costs less than the collisions", "gemm"),
    "thin_columns": _Is("columns", "up to which the last, too few for a vector, are computed apart", "gemm"),
    "thin_depth": _Is("elements", "of k from which on that is done along k", "gemm"),
    "thin_bytes": _Is("bytes", "of a line of B up to which it is", "gemm"),
    "narrow_depth": _Is("elements", "of k for each column from which on that is done for less than a vector", "gemm"),
    "narrow_work": _Is("elements", "of x in x.T dout from which on that is done for less than a vector in all", "gemm"),
    "filled_depth": _Is("elements", "of k in x.T dout from which on that is done for any part of a vector", "gemm"),
    "exchange_depth": _Is("bytes", "of k from which on a few rows meet W along k in a gradient, not turned", "gemm"),
    "chunk": _Is("elements", "of elementwise work in a part: every element always meets the same code", "layer"),
    "function_block": _Is("elements", "copied before they are changed, which then are in the first cache", "layer"),
    "softmax_part": _Is("elements", "of the rows in a part: they stay in the first cache from pass to pass", "layer"),
    "short_row": _Is("columns", "up to which vectors of a softmax go across rows; else along them", "layer"),
    "column_rows": _Is(
        "rows", "of a part at the least, whose sums of columns are an eighth of its bytes then", "layer"
    ),
    "slice_bytes": _Is("bytes", "that layers write of a slice: with the weights they stay in the second cache", "rows"),
    "slice_rows": _Is("rows", "of a slice at the least: below, products lose more than the cache brings", "rows"),
    "least_slices": _Is("slices", "in a batch that is cut into such", "rows"),
    "slice_parameters": _Is("parameters", "up to which a batch is cut: every part has a gradient vector", "rows"),
    "half_operations": _Is("operations", "of a step from which on a smaller batch is halved, for two threads", "step"),
    "half_parameters": _Is("parameters", "up to which it is, since their gradients are added up", "step"),
    "slice_parts": _Is("parts", "that have the slices: they even out threads that do not always run", "rows"),
    "predict_rows": _Is("rows", "of a block at the least: as fast as many, and computed as many are", "predict"),
    "image_bytes": _Is("bytes", "of rows of an image that a convolution copies at once: into the second cache", "conv"),
    "group_bytes": _Is("bytes", "of images over which the gradient of filters is added up in registers", "conv"),
    "partial_elements": _Is("elements", "of all parts of the gradient of filters, which are added up", "conv"),
}

# Other numbers than these, by the row of ``isa``. With half the registers a tile has fewer rows and reads A twice as
# often, which then has to lie side by side: every transposed A is turned.
FIXED_BY_ROW = {"avx2": Fixed(steep=1, steep_depth=256, turn_rows=16, turn_columns=64)}

FIXED = FIXED_BY_ROW.get(ISA.name, Fixed())


class Number(NamedTuple):
    """What a number of ``Machine`` counts and says, and between which bounds it may be set.

    ``python -m fastbp.bench.tune NAME`` finds it: it prints what the values of one come to on the machine at hand.
    """

    unit: str
    least: int
    most: int
    meaning: str


class Machine(NamedTuple):
    """Numbers that change how fast something is, and no bit of what it gives.

    As they are here they suit few registers or short vectors: B passes through the first-level cache more often, so
    more of it is packed. Rows below override them.
    """

    small_product: int = 1 << 17
    block_n: int = 128
    panel_bytes: int = 24 << 10
    pack_bytes: int = 128 << 10
    pack_rows: int = 64
    page_rows: int = 1 << 40
    k_ahead: int = 0
    ahead_bytes: int = 40 << 10
    turn_depth: int = 1 << 40
    turn_width: int = 256
    stream_row_bytes: int = 1 << 18
    parallel_flops: int = 2_000_000
    many_flops: int = 16_000_000
    few_parts: int = 4
    many_parts: int = 8
    least_parts: int = 3
    spins: int = 10_000
    stall: int = 200_000
    most_alone: int = 1 << 12
    waking: int = 100_000
    pause: int = 200_000
    many_in_a_row: int = 16
    gather_part: int = 1 << 14
    gather_ahead: int = 1 << 12
    stream_bytes: int = 1 << 26
    short_call: int = 1 << 14
    short_program: int = 1 << 20
    predict_bytes: int = 1 << 23
    predict_work: int = 1 << 31
    read_in_place: int = 1 << 14


def _widest(depth: int) -> int:
    """Columns of a block of so many bytes of k that the scratch memory holds, padding included."""
    return SCRATCH_A // (depth + ISA.vector_bytes)


_SECOND, _MUCH = 10**9, 1 << 40
NUMBERS = {
    "small_product": Number("multiply-adds", 0, 1 << 20, "up to which a product is tiles, and nothing is decided"),
    "block_n": Number("columns", 64, _widest(FIXED.block_k), "of a block of B, which stays in the second cache"),
    "panel_bytes": Number("bytes", 0, 1 << 20, "of a panel of B up to which it is a block by itself, for all rows"),
    "pack_bytes": Number("bytes", 1 << 14, _MUCH, "of a large B, which is packed where nothing else forces it"),
    "pack_rows": Number("rows", 1, _MUCH, "that meet a B that is packed for its size"),
    "page_rows": Number("rows", 1, _MUCH, "of B, pages apart, that collide in the second cache: half of pack_rows do"),
    "k_ahead": Number("steps", 0, 1 << 10, "of k by which the operands of a deep product are sent for ahead; 0: none"),
    "ahead_bytes": Number("bytes", 0, _MUCH, "that a panel of B lies in from which on they are, if half are its own"),
    "turn_depth": Number("bytes", 1 << 8, _MUCH, "of k from which on an A that is a transpose is turned into rows"),
    "turn_width": Number("columns", 64, _MUCH, "of C from which on it is"),
    "stream_row_bytes": Number("bytes", 1 << 12, _MUCH, "of B from which on a single row of A meets it row by row"),
    "parallel_flops": Number("operations", 0, _MUCH, "of a product below which to share costs more than it brings"),
    "many_flops": Number("operations", 0, _MUCH, "from which on it has many parts, and sleeping members are woken"),
    "few_parts": Number("parts", 1, 64, "of a product below that"),
    "many_parts": Number("parts", 1, 64, "from there on: they even out members that do not always run"),
    "least_parts": Number("parts", 2, 64, "of a job worth sharing: fewer are done before a sleeping member is awake"),
    "spins": Number("loops", 1, 1 << 20, "of waiting for a job or its last part before the core is given away"),
    "stall": Number("ns", 1, _SECOND, "of waiting from which on help counts as gone in the middle of a part"),
    "most_alone": Number("jobs", 1, 1 << 20, "done without help at the most after such stalls"),
    "waking": Number("ns", 0, _SECOND, "of work that a member is woken for: what that costs where its core is taken"),
    "pause": Number("ns", 0, _SECOND, "between jobs that count as one after the other"),
    "many_in_a_row": Number("jobs", 1, 1 << 20, "one after the other, from which on members are woken for any"),
    "gather_part": Number("elements", 1 << 8, 1 << 24, "of a batch copied in one part"),
    "gather_ahead": Number(
        "bytes", 0, 1 << 20, "of samples drawn from a data set that are sent for before they are copied"
    ),
    "stream_bytes": Number("bytes", 1 << 20, _MUCH, "of an output that is stored past the caches, which hold no such"),
    "short_call": Number("elements", 0, 1 << 20, "in all of a call so short that other Python threads may wait"),
    "short_program": Number("multiplications", 0, 1 << 26, "of a step or a prediction so short that they may wait too"),
    "predict_bytes": Number("bytes", 1, 1 << 30, "that layers write of a block of rows: it stays in the last cache"),
    "predict_work": Number("multiplications", 1, 1 << 33, "of a block of rows, between two looks for Ctrl-C"),
    "read_in_place": Number("elements", 1, 1 << 24, "of a batch from which on a copy takes longer than an address"),
}


class Row(NamedTuple):
    """A machine that is known or thought out.

    Attributes
    ----------
    isa : the row of ``isa`` that it has
    measured : whether its numbers were measured on it, or reasoned from those of others
    vendor, family : what its CPUs say of themselves
    caches : bytes of the first, the second and the last, as a core meets them
    """

    name: str
    isa: str
    measured: bool
    vendor: str
    family: int
    caches: tuple[int, int, int]
    numbers: Machine


_KB, _MB = 1 << 10, 1 << 20
_AVX2 = Machine(block_n=192, pack_bytes=1 << 16, pack_rows=12, panel_bytes=0)
_AVX512 = Machine(pack_bytes=1 << 20, pack_rows=256)
# Intel's caches look ahead within a page of memory, and by steps of 2 KB at the most (its optimization manual, on the
# prefetcher that goes by the instruction's address); the rows of a wide B are further apart than that.
_INTEL = _AVX512._replace(
    panel_bytes=1 << 20,
    pack_bytes=64 << 10,
    pack_rows=28,
    page_rows=512,
    k_ahead=8,
    turn_depth=1 << 10,
)

ROWS = (
    Row("Zen 4", "avx512", True, "AuthenticAMD", 25, (32 * _KB, _MB, 32 * _MB), _AVX512),
    Row("Zen 5", "avx512", True, "AuthenticAMD", 26, (48 * _KB, _MB, 32 * _MB), _AVX512),
    Row("Intel server", "avx512", True, "GenuineIntel", 6, (48 * _KB, 2 * _MB, 32 * _MB), _INTEL),
    Row("AVX2", "avx2", False, "", 0, (32 * _KB, 512 * _KB, 32 * _MB), _AVX2),
    Row("Zen 3", "avx2", True, "AuthenticAMD", 25, (32 * _KB, 512 * _KB, 32 * _MB), _AVX2),
    Row("NEON", "neon", False, "", 0, (64 * _KB, _MB, 32 * _MB), Machine()),
    Row("any CPU", "plain", False, "", 0, (32 * _KB, 256 * _KB, 32 * _MB), Machine()),
)


def nearest(isa: str, vendor: str, family: int, caches: tuple[int, int, int]) -> Row:
    """The row for a CPU of which that much is known; a cache of 0 bytes is not.

    It is one with the same vectors: that of the same maker and family, else the one whose first and second caches are
    nearest by ratio, and of several such the one that stands first.
    """

    def apart(row: Row) -> tuple[bool, float]:
        known = [(own, other) for own, other in zip(row.caches[:2], caches[:2], strict=True) if other > 0]
        return (row.vendor, row.family) != (vendor, family), sum(abs(math.log2(own / other)) for own, other in known)

    return min((row for row in ROWS if row.isa == isa), key=apart)


def fitted(row: Row, caches: tuple[int, int, int], cores: int = 1) -> Machine:
    """The numbers of a row on a machine with such caches and cores: what goes by these is what they say.

    A product has a part for each core, a large one two.
    """
    numbers, last = row.numbers, caches[2]
    few, many = max(numbers.few_parts, min(64, cores)), max(numbers.many_parts, min(64, 2 * cores))
    numbers = numbers._replace(few_parts=few, many_parts=many)
    if last == 0:
        return numbers
    larger, smaller = max(numbers.stream_bytes, 2 * last), min(numbers.predict_bytes, max(1 << 20, last // 4))
    return numbers._replace(stream_bytes=larger, predict_bytes=smaller)
