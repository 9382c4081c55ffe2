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


class ColumnScale(torch.nn.Module):
    """``x factor + shift``, a number each for every column: parameters if ``trained``, else buffers."""

    def __init__(self, columns: int, trained: bool) -> None:
        super().__init__()
        self.trained = trained
        for name in ("factor", "shift"):
            empty = torch.empty(columns, device="meta")
            if trained:
                self.register_parameter(name, torch.nn.Parameter(empty))
            else:
                self.register_buffer(name, empty)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.factor + self.shift

    def extra_repr(self) -> str:
        return f"{len(self.factor)}{'' if self.trained else ', trained=False'}"


class MaxPool2d(torch.nn.MaxPool2d):
    """torch's, with zeros around the images, which count as numbers do."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        around = torch.nn.functional.pad(x, [self.padding] * 4)
        return torch.nn.functional.max_pool2d(around, self.kernel_size, self.stride)
