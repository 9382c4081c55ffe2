"""What passes from layer to layer while a program is written."""

import math
from dataclasses import dataclass

from fastbp.kernels.gemm import LINEAR, NOTHING

Epilogue = tuple[int, int, float]
"""The address of a function, of what it needs, and its number; see the instructions of the products."""

NO_EPILOGUE: Epilogue = (LINEAR, NOTHING, 0.0)


@dataclass
class Operand:
    """What one layer hands to the next in a program: rows of numbers at an address.

    Attributes
    ----------
    address : where (N, ...) begins, row after row
    shape : of one sample
    slope : what the gradient with respect to these numbers has to be put through before the layer that made them takes
        it: whoever computes that gradient may take this over, see ``take_slope``
    """

    address: int
    shape: tuple[int, ...]
    slope: Epilogue = NO_EPILOGUE

    @property
    def columns(self) -> int:
        """Numbers in a sample."""
        return math.prod(self.shape)

    def take_slope(self) -> Epilogue:
        """Take over what the gradient has to be put through; whoever made the numbers then leaves it out."""
        taken, self.slope = self.slope, NO_EPILOGUE
        return taken
