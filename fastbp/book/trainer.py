"""The book's ``common/trainer.py``."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastbp.basics._arguments import choice, integer, shown
from fastbp.book import optimizer as optimizers

__all__ = ["Trainer"]

OPTIMIZERS = {cls.__name__.lower(): cls for cls in optimizers.CLASSES}


class Trainer:
    """Trains a network on batches that are drawn from ``np.random``, and keeps losses and accuracies.

    Parameters
    ----------
    network : object with ``params``, ``gradient``, ``loss`` and ``accuracy``
        Such as a ``MultiLayerNet``.
    x_train, t_train, x_test, t_test : arrays
        Samples and their targets.
    epochs, mini_batch_size : int
        How long to train, and on how many samples at a time.
    optimizer : str
        'SGD', 'Momentum', 'Nesterov', 'AdaGrad', 'RMSprop' or 'Adam', in any case.
    optimizer_param : dict
        Its arguments; None for ``{'lr': 0.01}``.
    evaluate_sample_num_per_epoch : int or None
        How many of the samples, from the first on, accuracies are taken of; None for all.
    verbose : bool
        Whether losses and accuracies are printed.

    Attributes
    ----------
    train_loss_list : list
        The loss of each batch, after the step on it.
    train_acc_list, test_acc_list : list
        Accuracies, after the first step of each epoch.
    """

    def __init__(
        self,
        network: Any,
        x_train: np.ndarray,
        t_train: np.ndarray,
        x_test: np.ndarray,
        t_test: np.ndarray,
        epochs: int = 20,
        mini_batch_size: int = 100,
        optimizer: str = "SGD",
        optimizer_param: Mapping[str, Any] | None = None,
        evaluate_sample_num_per_epoch: int | None = None,
        verbose: bool = True,
    ) -> None:
        for part, x, t in (("train", x_train, t_train), ("test", x_test, t_test)):
            if len(x) != len(t):
                raise ValueError(
                    f"t_{part} must hold a target for each of the {len(x)} samples in x_{part}, got {len(t)}"
                )
        if not len(x_train):
            raise ValueError(f"x_train must hold at least one sample, got shape {np.shape(x_train)}")
        self.network, self.verbose = network, verbose
        self.x_train, self.t_train, self.x_test, self.t_test = x_train, t_train, x_test, t_test
        self.epochs = integer("epochs", epochs, 0)
        self.batch_size = integer("mini_batch_size", mini_batch_size, 1)
        if evaluate_sample_num_per_epoch is not None:
            integer("evaluate_sample_num_per_epoch", evaluate_sample_num_per_epoch, 1)
        self.evaluate_sample_num_per_epoch = evaluate_sample_num_per_epoch
        name = optimizer.lower() if isinstance(optimizer, str) else optimizer
        self.optimizer = OPTIMIZERS[choice("optimizer", name, OPTIMIZERS)](**_settings(optimizer_param))
        self.train_size = len(x_train)
        self.iter_per_epoch = max(self.train_size / self.batch_size, 1)
        self.max_iter = int(self.epochs * self.iter_per_epoch)
        self.current_iter = self.current_epoch = 0
        self.train_loss_list: list[float] = []
        self.train_acc_list: list[float] = []
        self.test_acc_list: list[float] = []

    def train_step(self) -> None:
        """Train on one batch; at the first of an epoch, take the accuracies."""
        batch = np.random.choice(self.train_size, self.batch_size)
        x, t = self.x_train[batch], self.t_train[batch]
        self.optimizer.update(self.network.params, self.network.gradient(x, t))
        loss = self.network.loss(x, t)
        self.train_loss_list.append(loss)
        self._tell(f"train loss:{loss}")
        if self.current_iter % self.iter_per_epoch == 0:
            self._finish_epoch()
        self.current_iter += 1

    def _finish_epoch(self) -> None:
        self.current_epoch += 1
        some = slice(self.evaluate_sample_num_per_epoch)
        train = self.network.accuracy(self.x_train[some], self.t_train[some])
        test = self.network.accuracy(self.x_test[some], self.t_test[some])
        self.train_acc_list.append(train)
        self.test_acc_list.append(test)
        self._tell(f"=== epoch:{self.current_epoch}, train acc:{train}, test acc:{test} ===")

    def train(self) -> None:
        """Train for all epochs."""
        for _ in range(self.max_iter):
            self.train_step()
        accuracy = self.network.accuracy(self.x_test, self.t_test)
        self._tell("=============== Final Test Accuracy ===============")
        self._tell(f"test acc:{accuracy}")

    def _tell(self, line: str) -> None:
        if self.verbose:
            print(line)


def _settings(given: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if given is None:
        return {"lr": 0.01}
    if not isinstance(given, Mapping):
        raise TypeError(f"optimizer_param must be a dict of the optimizer's arguments, got {shown(given)}")
    return given
