"""The instructions of a program: what each is called, and what its operands are.

Whoever writes a program makes one of these, and the operation that runs it reads the same fields: a forgotten operand
is an error when the program is written. An operand is an address, a size, or a number: fields said to be ``float`` are
stored as the bits of a float64, all others as an int64. A matrix (N, K) lies row after row, without gaps.
"""

from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ._jit import kernel
from .simd import I64


class GatherRows(NamedTuple):
    """target = scale source[samples of the batch], of elements of the target's type."""

    source: int
    n_samples: int
    target: int
    rows: int
    columns: int
    scale: float


class GatherConvertedRows(NamedTuple):
    """As ``GatherRows``, of a source whose elements are of type ``batch.KINDS[kind]``."""

    source: int
    n_samples: int
    target: int
    rows: int
    columns: int
    scale: float
    kind: int


class GatherSparseRows(NamedTuple):
    """target = rows of a compressed sparse matrix: its values, their columns, and where each sample's begin."""

    values: int
    indices: int
    starts: int
    target: int
    rows: int
    columns: int


class GatherLabels(NamedTuple):
    """target (N,) = source[samples of the batch], int64."""

    source: int
    target: int
    rows: int


class AffineForward(NamedTuple):
    """y = f(x W + b): x (N, I), W (I, O), b (O,) or NOTHING; f as in ``gemm``'s epilogue."""

    x: int
    W: int
    b: int
    y: int
    plan: int
    function: int
    number: float


class AffineInputGradient(NamedTuple):
    """dx = dy W.T, and, where a function is named, what its ``_back`` makes of that by what is ``kept`` (N, I)."""

    dy: int
    W: int
    dx: int
    plan: int
    function: int
    kept: int
    number: float


class AffineWeightGradient(NamedTuple):
    """dW = x.T dy and db, the sum of the rows of dy; added to what stands there if ``adds``. db may be NOTHING."""

    x: int
    dy: int
    dW: int
    db: int
    plan: int
    plan_of_sum: int
    adds: int


class AffineStep(NamedTuple):
    """W -= lr x.T dy and b -= lr (sum of the rows of dy): gradient descent without a gradient array."""

    x: int
    dy: int
    W: int
    b: int
    plan: int
    plan_of_sum: int


class Activation(NamedTuple):
    """y = f(x), n elements; f is the address of a function of ``activations``, y may be x."""

    function: int
    x: int
    y: int
    n: int
    number: float


class ActivationGradient(NamedTuple):
    """d = what the ``_back`` at the address ``function`` makes of it by what is ``kept``, n elements."""

    function: int
    d: int
    kept: int
    n: int
    number: float


class Dropout(NamedTuple):
    """y = x / keep where mask, else 0; the mask is drawn, n elements; without a seed, -1, under the run's."""

    x: int
    y: int
    mask: int
    n: int
    keep: float
    stream: int
    seed: int


class DropoutGradient(NamedTuple):
    """dx = dy / keep where mask, else 0; n elements."""

    dy: int
    mask: int
    dx: int
    n: int
    keep: float


# Losses write the mean loss to the step's words, and its gradient to dx (N, K). ``losses`` (N,) float64 is scratch.


class SoftmaxLossOfFew(NamedTuple):
    """Softmax and cross-entropy of at most ``short_rows.LONGEST`` classes against labels (N,), without weights."""

    x: int
    labels: int
    dx: int
    rows: int
    columns: int
    losses: int
    eps: float


class SoftmaxLossOfLabels(NamedTuple):
    """Softmax and cross-entropy against labels (N,); y (N, K) receives the probabilities; weights (N,) or NOTHING."""

    x: int
    targets: int
    weights: int
    y: int
    dx: int
    rows: int
    columns: int
    losses: int
    eps: float
    smoothing: float


class SoftmaxLossOfRows(NamedTuple):
    """As ``SoftmaxLossOfLabels``, against distributions (N, K)."""

    x: int
    targets: int
    weights: int
    y: int
    dx: int
    rows: int
    columns: int
    losses: int
    eps: float
    smoothing: float


class ElementLoss(NamedTuple):
    """A loss of ``element_losses`` against targets (N, K), by the addresses of its kernels, the last or NOTHING."""

    x: int
    targets: int
    weights: int
    dx: int
    rows: int
    columns: int
    losses: int
    function: int
    slope: int
    in_one_go: int
    number: float


class DevianceLoss(NamedTuple):
    """A loss of ``deviance``, by its addresses; at ``total``, a float64 receives the sum of the batch's weights."""

    x: int
    targets: int
    weights: int
    y: int
    dx: int
    rows: int
    columns: int
    losses: int
    function: int
    output: int
    total: int


class Penalty(NamedTuple):
    """Adds the L2 penalty ``alpha / total / 2 sum(W^2)`` to the step's loss, and its gradient to dW; n elements."""

    W: int
    dW: int
    n: int
    alpha: float
    total: int
    partial: int


class Optimize(NamedTuple):
    """One step of an optimizer of ``optimizer``, gradients first clipped to the norm ``limit`` where that is not 0."""

    kind: int
    parameters: int
    gradients: int
    first: int
    second: int
    n: int
    n_first: int
    n_second: int
    hyper: int
    limit: float
    partial: int


class Slices(NamedTuple):
    """Loss and gradient of the batch by programs for slices of it; see ``slices``."""

    parts: int
    n_parts: int
    rows: int
    slice_rows: int
    n_instructions: int
    gradients: int
    n: int


@intrinsic
def operands(typingctx, instruction, row):
    """The operands of an ``instruction``, one of the classes above, that stand from address ``row`` on."""
    form = instruction.instance_class
    kinds = [types.float64 if form.__annotations__[name] is float else types.int64 for name in form._fields]
    result = types.NamedTuple(kinds, form)

    def codegen(context, builder, signature, arguments):
        first = builder.inttoptr(arguments[1], I64.as_pointer())
        values = []
        for i, kind in enumerate(kinds):
            word = builder.load(builder.gep(first, [I64(i)]))
            values.append(builder.bitcast(word, ir.DoubleType()) if kind is types.float64 else word)
        return context.make_tuple(builder, result, values)

    return result(instruction, types.int64), codegen


OPERATIONS: dict[Any, Any] = {}  # the compiled function of each instruction's class


def operation(instruction):
    """Decorate the function that runs an ``instruction``: ``operation(team, row, step, one)``.

    The operands begin at address ``row``, the step's words at ``step`` (see ``program``), and ``one`` names the element
    type. Compiled when the first network needs it; called through its address.
    """

    def decorate(function):
        OPERATIONS[instruction] = kernel(function, by_address=True)
        return OPERATIONS[instruction]

    return decorate
