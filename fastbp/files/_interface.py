"""What an exported network takes and gives, where that is more than the network's own numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Unit:
    """Numbers as they are in the data: ``mean + std z`` for a ``z`` of the network; both (N,) in float64.

    An export takes them in float64 and computes with them apart from the weights. As part of float32 weights a mean of
    many standard deviations would take all digits with it, and whether a C function takes floats or doubles must not
    depend on how large the numbers happen to be.
    """

    mean: np.ndarray
    std: np.ndarray


@dataclass(frozen=True)
class Interface:
    """Of an export: the units of inputs and outputs, and what they are called; None where nothing is known.

    Attributes
    ----------
    inputs, outputs : units of the I inputs and of the K outputs; where outputs have one, there are no probabilities
    input_names : of the I inputs
    class_names : of the classes, one for each of the K outputs, or two for a single output
    """

    inputs: Unit | None = None
    outputs: Unit | None = None
    input_names: Sequence[str] | None = None
    class_names: Sequence[str | int] | None = None


PLAIN = Interface()
