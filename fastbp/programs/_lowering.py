"""From layers to a program: the table of instructions that ``kernels.program`` executes.

Each layer and loss writes its own instructions (its method ``lower``) into a ``Lowering``, which owns the buffers
between them. What keeps an array alive, unmoved and of its size behind its address, for as long as the ``Lowering``
lives: buffers are in no other hands; arrays from elsewhere are kept and pinned; parameters are views of a ``Binding``'s
vector that no one else has, the vector kept and pinned.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from functools import cache, lru_cache
from struct import Struct
from typing import Any, Protocol, cast

import numpy as np
from numba import types, void

import fastbp.kernels.operations  # noqa: F401 (fills OPERATIONS, as the files of layers do)
from fastbp.basics import _check, _machine
from fastbp.basics._address import address_of
from fastbp.basics._pin import pin
from fastbp.kernels import instructions as of
from fastbp.kernels import program
from fastbp.kernels._jit import NUMBA_TYPES, compiled_address
from fastbp.kernels.batch import KINDS
from fastbp.kernels.gemm import LINEAR, RELU
from fastbp.kernels.instructions import OPERATIONS
from fastbp.kernels.plan import Plan, plan_product
from fastbp.kernels.team import CHUNK
from fastbp.programs._operand import Operand

KIND_OF = {np.dtype(name): kind for kind, name in enumerate(KINDS)}  # of data that are read as they are
_LOSS_OPERANDS = [types.int64] * 4

Backward = Callable[[int, bool], int]
"""Writes a layer's backward pass: takes the address of dy and whether dx is wanted, returns the address of dx."""


class Passed(Protocol):
    """A layer, as one that has a backward pass."""

    @property
    def parameters(self) -> tuple[str, ...]: ...


class Rule(Protocol):
    """An optimizer, as one that is written into a program."""

    @property
    def kind(self) -> int: ...

    @property
    def is_plain(self) -> bool: ...

    def hyper(self) -> np.ndarray: ...


@cache
def _form(instruction: Any, dtype: np.dtype) -> tuple[int, Struct]:
    """The address of the operation that runs an instruction, compiled for ``dtype``, and a row of a program.

    A row is that address and the operands, each an int64 or a float64.
    """
    kinds = instruction.__annotations__
    operands = "".join("d" if kinds[name] is float else "q" for name in instruction._fields)
    address = compiled_address(OPERATIONS[instruction], void(types.int64, types.int64, types.int64, NUMBA_TYPES[dtype]))
    return address, Struct(f"=q{operands}")


@lru_cache(maxsize=4096)
def _planned(shape: tuple[int, int, int], *sizes: Any) -> tuple[Plan, np.ndarray]:
    """A plan, and as programs read it: it has no addresses, so that all programs share it."""
    plan = plan_product(shape, *sizes)
    return plan, np.array(plan, np.int64)


@cache
def function_address(function: Any, dtype: np.dtype) -> int:
    """Of a function of ``kernels.activations``, compiled for ``dtype``."""
    return compiled_address(function, void(types.int64, types.int64, types.int64, NUMBA_TYPES[dtype]))


@cache
def loss_address(function: Any, dtype: np.dtype) -> int:
    """Of a loss or a slope of ``kernels.element_losses``, compiled for ``dtype``."""
    return compiled_address(function, void(*_LOSS_OPERANDS, NUMBA_TYPES[dtype], NUMBA_TYPES[dtype]))


@cache
def in_one_go_address(function: Any, dtype: np.dtype) -> int:
    """Of what computes both of a loss of ``kernels.element_losses``, compiled for ``dtype``."""
    return compiled_address(function, types.float64(*_LOSS_OPERANDS, NUMBA_TYPES[dtype], NUMBA_TYPES[dtype]))


def words_with(address: int, table: np.ndarray) -> np.ndarray:
    """The addresses of the words of a program that are this ``address``."""
    return address_of(table) + table.itemsize * np.flatnonzero(table == address)


class Lowering:
    """Writes the program of one step, or a prediction, for batches of ``rows`` samples, a number that may be lowered.

    Parameters
    ----------
    parameters, gradients : flat vectors of the same length; the layers' arrays are views of the first
    most_rows : rows of the largest batch
    predicts : whether layers write what their ``predict`` does, and nothing goes back
    buffers : those that programs share which run one after the other, for as many rows at most; else the program's own
    fused_step : whether parameters are updated by plain gradient descent as soon as their gradient is known, so that
        no gradients are kept
    adds : whether gradients are added to what ``gradients`` holds
    """

    def __init__(
        self,
        parameters: np.ndarray,
        gradients: np.ndarray,
        most_rows: int,
        *,
        predicts: bool = False,
        buffers: dict[Hashable, np.ndarray] | None = None,
        fused_step: bool = False,
        adds: bool = False,
    ) -> None:
        self.dtype = parameters.dtype
        self.parameters, self.gradients = parameters, gradients
        self.most_rows = self.rows = most_rows
        self.predicts, self.fused_step, self.adds = predicts, fused_step, adds
        self.place = 0  # of the layer that is being written, in the network
        self._buffers = {} if buffers is None else buffers
        self._kept: list[tuple[np.ndarray, object]] = []
        self._instructions: list[Any] = []
        self.instructions: list[Any] = []  # of the last table
        self.functions: dict[int, str] = {}  # and plans of images: names by address
        self.plans: dict[int, tuple[Plan, np.ndarray]] = {}  # by their addresses
        self._passes: list[tuple[Passed, Backward]] = []
        self._included: list[Lowering] = []
        self.sources: list[tuple[np.ndarray, object]] = []  # what batches are copied from, each and what pins it
        self._first, self._first_gradient = self.keep(parameters), self.keep(gradients)

    def buffer(self, key: Hashable, columns: int, dtype: np.dtype | None = None) -> int:
        """Address of a buffer of ``most_rows`` x ``columns`` elements; the same one for the same ``key``."""
        return self.array(key, (max(1, self.most_rows * columns),), dtype)

    def array(self, key: Hashable, shape: tuple[int, ...], dtype: np.dtype | None = None) -> int:
        """Address of an array of the program's own, zeros at first; the same one for the same ``key``."""
        buffer = self._buffers.get(key)
        if buffer is None:
            buffer = self._buffers.setdefault(key, np.zeros(shape, dtype or self.dtype))
        return address_of(buffer)

    def plan(
        self,
        shape: tuple[int, int, int],
        a: tuple[int, int],
        b: tuple[int, int],
        *,
        adds_rows: bool = False,
        alone: bool = False,
    ) -> int:
        """Address of the plan of a product, see ``plan_product``, whose rows lie one after the other.

        ``adds_rows`` says whether a matrix is added to it, not one row to all, or nothing.
        """
        columns = shape[1]
        sizes = columns, columns if adds_rows else 0, self.dtype.itemsize
        planned = _planned(shape, a, b, *sizes, _machine.numbers(), int(alone))
        address = address_of(planned[1])
        self.plans[address] = planned
        return address

    def keep(self, array: np.ndarray) -> int:
        """Address of an array that has to live as long as the program."""
        self._kept.append((array, pin("an array in use", array)))
        return address_of(array)

    def keep_as(self, name: str, array: np.ndarray) -> int:
        """As ``keep``, of what is called so in words."""
        address = self.keep(array)
        self.functions[address] = name
        return address

    def source(self, array: np.ndarray) -> int:
        """Address of what batches are copied from, kept as by ``keep``, but among the ``sources``."""
        if all(array is not other for other, _ in self.sources):
            self.sources.append((array, pin("an array in use", array)))
        return address_of(array)

    def buffers(self) -> dict[Hashable, int]:
        """The addresses of the buffers by their keys."""
        return {key: address_of(buffer) for key, buffer in self._buffers.items()}

    def include(self, other: Lowering) -> None:
        """Have ``other`` live as long as this."""
        self._included.append(other)

    def place_of(self, parameter: np.ndarray) -> int:
        """Address of a layer's parameter, which must be a view of those of the program."""
        whole, at = self.parameters, address_of(parameter)
        inside = 0 <= at - self._first <= whole.nbytes - parameter.nbytes
        if not (inside and parameter.dtype == whole.dtype and parameter.flags.c_contiguous):
            raise RuntimeError("a parameter was set while the network was about to train: set it before or after")
        return at

    def gradient_of(self, parameter: np.ndarray) -> int:
        """Address of the gradient of a layer's parameter."""
        return address_of(parameter) - self._first + self._first_gradient

    def emit(self, instruction: Any) -> None:
        """Append an instruction of ``kernels.instructions``; compiles its operation if no network has needed it yet."""
        _form(cast(Any, type(instruction)), self.dtype)
        self._instructions.append(instruction)

    def last_if(self, kind: Any) -> Any:
        """The last instruction if it is of that kind; else None."""
        return self._instructions[-1] if self._instructions and isinstance(self._instructions[-1], kind) else None

    def take_back(self) -> None:
        """Do without the last instruction, whose work the next one does with its own."""
        self._instructions.pop()

    def kept_at(self, address: int) -> np.ndarray:
        """What was kept, by its address."""
        return next(array for array, _ in self._kept if address_of(array) == address)

    def forward(self, layers: Iterable[Any], x: Operand) -> Iterator[Operand]:
        """Write the forward passes of ``layers``, on ``x`` and one after the other; yields the output of each."""
        for self.place, layer in enumerate(layers):
            x = layer.lower(self, x)
            yield x

    def on_backward(self, layer: Passed, write: Backward) -> None:
        """Have ``write`` write the backward pass of ``layer`` when it is its turn."""
        if not self.predicts:
            self._passes.append((layer, write))

    def backward(self, dout: int) -> None:
        """Write the backward passes, back to the first layer with parameters, whose dx nobody needs."""
        passes, self._passes = self._passes, []
        first = next(place for place, (layer, _) in enumerate(passes) if layer.parameters)
        for place in range(len(passes) - 1, first - 1, -1):
            dout = passes[place][1](dout, place > first)

    def activation(self, layer: Any, x: Operand) -> Operand:
        """Write an elementwise function, whose ``layer`` has its kernels; within the product before it if possible."""
        number, of_output = float(layer.number), layer.of_output
        n, y = self.rows * x.columns, x.address
        last: Any = self._instructions[-1] if self._instructions else None
        # What a derivative is computed from has to stay: a function may take its place only where that is its output.
        may = of_output or self.predicts
        # Within an instruction that makes ``y`` and has room for a function, and none so far, as products have.
        within = may and (getattr(last, "y", None), getattr(last, "function", None)) == (y, LINEAR)
        function = RELU if within and layer.in_registers else self.function(layer.kernel)
        if within:
            self._instructions[-1] = last._replace(function=function, number=number)
        else:
            y = self.buffer((layer, "y"), x.columns)
            self.emit(of.Activation(function, x.address, y, n, number))
        if self.predicts:
            return Operand(y, x.shape)
        back = self.function(layer.kernel_back)
        out = Operand(y, x.shape, slope=(back, y if of_output else x.address, number))

        def backward(dy: int, wanted: bool) -> int:
            function, kept, number = out.take_slope()
            if function != LINEAR:
                self.emit(of.ActivationGradient(function, dy, kept, n, number))
            return dy

        self.on_backward(layer, backward)
        return out

    def function(self, kernel: Any, find: Callable[[Any, np.dtype], int] = function_address) -> int:
        """The address of a kernel, which ``find`` finds: of an activation, or of a loss. Its name is kept."""
        address = find(kernel, self.dtype)
        self.functions[address] = kernel.__name__
        return address

    def loss_buffers(self, columns: int) -> tuple[int, int]:
        """Addresses of the gradient with respect to a loss's x, (N, columns), and of the losses of rows or of parts."""
        return self.buffer("loss dx", columns), self.buffer("losses", 1, _check.FLOAT64)

    def optimizer(self, optimizer: Rule, first: np.ndarray, second: np.ndarray, limit: float) -> None:
        """Write the update of all parameters, their gradients clipped to the norm ``limit`` where that is not 0."""
        n = self.parameters.size
        partial = self.keep(np.zeros(-(-n // CHUNK)))
        vectors = self.keep(self.parameters), self.keep(self.gradients), self.keep(first), self.keep(second)
        hyper = self.keep(optimizer.hyper())
        self.emit(of.Optimize(optimizer.kind, *vectors, n, first.size, second.size, hyper, limit, partial))

    def gather(self, key: Hashable, source: np.ndarray, scale: float = 1.0) -> int:
        """Write the copy of a batch's rows of ``source`` (samples, D) times ``scale``; returns its address."""
        n_samples, columns = source.shape
        target = self.buffer(key, columns)
        operands = self.source(source), n_samples, target, self.rows, columns, scale
        kind = KIND_OF[source.dtype]
        native = source.dtype == self.dtype
        self.emit(of.GatherRows(*operands) if native else of.GatherConvertedRows(*operands, kind))
        return target

    def gather_labels(self, source: np.ndarray) -> int:
        """Write the copy of a batch's labels out of ``source`` (samples,) intp; returns the address of the copy."""
        target = self.buffer("labels", 1, np.dtype(np.int64))
        self.emit(of.GatherLabels(self.source(source), target, self.rows))
        return target

    @property
    def n_bytes(self) -> int:
        """Of buffers and gradients."""
        return self.gradients.nbytes + sum(buffer.nbytes for buffer in self._buffers.values())

    def tables(self, n: int, write: Callable[[Lowering], None]) -> tuple[np.ndarray, np.ndarray]:
        """What ``write`` writes for a whole batch, and for the last batch of ``n`` samples, which may be smaller."""
        tables = []
        for rows in dict.fromkeys((self.most_rows, n % self.most_rows or self.most_rows)):
            self.rows = rows
            write(self)
            tables.append(self.table())
        return tables[0], tables[-1]

    def fill_in(self, words: np.ndarray, table: np.ndarray, x: int, step: np.ndarray, n_classes: int) -> None:
        """Write into the ``words`` of a batch, see ``kernels.program``, what they are for a ``table`` of this.

        Samples are where it says ``x``, until it is told; ``step`` has the step's words.
        """
        inputs = words_with(x, table)
        words[program.OWN_STEP], words[program.N_ROWS], words[program.N_CLASSES] = self.keep(step), self.rows, n_classes
        words[program.PROGRAM], words[program.N_INSTRUCTIONS] = self.keep(table), len(table)
        words[program.INPUTS], words[program.N_INPUTS] = self.keep(inputs), len(inputs)

    def table(self) -> np.ndarray:
        """The program written so far; the next instruction begins another."""
        self.instructions = instructions = self._instructions
        self._instructions = []
        table = np.zeros((len(instructions), program.INSTRUCTION_WORDS), np.int64)
        memory = table.data
        for place, instruction in enumerate(instructions):
            address, form = _form(cast(Any, type(instruction)), self.dtype)
            form.pack_into(memory, 8 * program.INSTRUCTION_WORDS * place, address, *instruction)
        return table
