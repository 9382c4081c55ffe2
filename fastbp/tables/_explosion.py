"""A training whose loss explodes ends with a word on what to do, though every number in it is still finite."""

import math

from fastbp.tables._errors import LossError, Settings
from fastbp.tables._model import Model
from fastbp.tables._prepare import Prepared
from fastbp.tables._targets import Classes
from fastbp.training.history import History

ABSURD = 1e6  # times the loss of guessing: no start is so bad
RISEN = 1e3  # times the loss of guessing, and times the lowest loss so far: noise does not reach so far


class Explosion:
    """A callback of ``fit`` that raises LossError where an epoch's loss is absurd, or rose by orders of magnitude.

    Guessing, which knows the targets and no inputs, has a loss of log K for K classes, and of 1 for numbers, which are
    standardised; weights multiply it.
    """

    def __init__(self, model: Model, data: Prepared) -> None:
        targets = model.targets
        self._guess = math.log(len(targets.values)) if isinstance(targets, Classes) else 1.0
        if data.weights is not None:
            self._guess *= float(data.weights.mean())

    def __call__(self, history: History) -> None:
        loss, lowest = history.loss[-1], min(history.loss)
        if loss > ABSURD * self._guess or loss > RISEN * max(self._guess, lowest):
            rose = f"has risen from {lowest:.4g} to" if loss > lowest else "is"
            raise LossError(
                f"the loss {rose} {loss:.4g} in epoch {len(history.loss)}, where guessing has {self._guess:.2g}: "
                f"try a lower ",
                Settings(lr=None),
                ", ",
                Settings(clip_norm=1),
                ", and inputs that are standardised or scaled",
            )
