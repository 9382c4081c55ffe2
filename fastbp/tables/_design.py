"""The network that is trained on a table, and how it is trained where nothing else is said."""

from dataclasses import dataclass
from typing import Any

from fastbp import losses
from fastbp._mlp import mlp
from fastbp.losses._loss import Loss
from fastbp.sequential import Sequential
from fastbp.tables._errors import SettingError, Settings
from fastbp.tables._targets import Classes, Targets

EPOCHS, BATCH = 100, 32
HIDDEN = (50,)
LEARNING_RATES = {  # with which each optimizer learns well in these epochs
    "sgd": 0.1,
    "momentum": 0.01,
    "nesterov": 0.01,
    "adagrad": 0.1,
    "rmsprop": 0.001,
    "adam": 0.001,
    "adamw": 0.001,
}


@dataclass(frozen=True)
class Design:
    """What is asked of a network; the rest follows from the data.

    Attributes
    ----------
    hidden : units of each hidden layer
    activation : after each of them, or one for each
    normalization : "batch", "layer" or None, before each activation
    dropout : probability to drop a hidden unit
    loss : by name; None goes by the targets
    label_smoothing : of softmax
    dtype : float32 or float64
    seed : of the initial weights
    """

    hidden: tuple[int, ...] = HIDDEN
    activation: str | tuple[str, ...] = "relu"
    normalization: str | None = None
    dropout: float = 0.0
    loss: str | None = None
    label_smoothing: float = 0.0
    dtype: str = "float32"
    seed: int = 0

    def network(self, n_inputs: int, targets: Targets) -> Sequential:
        """The network, before training."""
        sizes = [n_inputs, *self.hidden, targets.n_outputs]
        settings: dict[str, Any] = {"dropout": self.dropout, "dtype": self.dtype, "seed": self.seed}
        settings |= {"normalization": self.normalization, "loss": self.loss_for(targets)}
        return mlp(sizes, self.activation, **settings)

    def loss_for(self, targets: Targets) -> Loss:
        """The loss, by name or by the targets."""
        loss = losses.named(self.loss or ("softmax" if isinstance(targets, Classes) else "mse"))
        if not self.label_smoothing:
            return loss
        smoothed = loss.smoothed(self.label_smoothing)
        if smoothed is None:
            raise SettingError(Settings(label_smoothing=None), " goes with ", Settings(loss="softmax"))
        return smoothed
