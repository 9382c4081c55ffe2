"""Modules of PyTorch that its own library does not have. Imports torch: to be imported where that is there."""

import torch


class Scale(torch.nn.Module):
    """What a network multiplies its inputs with before the first layer, in the type of its parameters.

    The number is no parameter: a state dict does not have it.
    """

    def __init__(self, scale: float, dtype: torch.dtype) -> None:
        super().__init__()
        self.scale = scale
        self.register_buffer("_type", torch.empty(0, dtype=dtype), persistent=False)  # goes along with .to(dtype)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.to(self._type.dtype) * self.scale

    def extra_repr(self) -> str:
        return f"{self.scale:g}"
