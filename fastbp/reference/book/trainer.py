"""The loop of training."""

import numpy as np

from fastbp.reference.book import optimizer as optimizers

__all__ = ["Trainer"]


class Trainer:
    """Batches from np.random; a loss for each, accuracies for each epoch."""

    def __init__(
        self,
        network,
        x_train,
        t_train,
        x_test,
        t_test,
        epochs=20,
        mini_batch_size=100,
        optimizer="SGD",
        optimizer_param=None,
        evaluate_sample_num_per_epoch=None,
        verbose=True,
    ):
        self.network, self.verbose, self.batch_size = network, verbose, mini_batch_size
        self.data, self.n = (x_train, t_train, x_test, t_test), evaluate_sample_num_per_epoch
        kinds = {name.lower(): getattr(optimizers, name) for name in optimizers.__all__ if name != "np"}
        self.optimizer = kinds[optimizer.lower()](**(optimizer_param or {"lr": 0.01}))
        self.per_epoch = max(len(x_train) / mini_batch_size, 1)
        self.max_iter = int(epochs * self.per_epoch)
        self.train_loss_list, self.train_acc_list, self.test_acc_list = [], [], []

    def train_step(self):
        """One batch."""
        x_train, t_train, x_test, t_test = self.data
        rows = np.random.choice(len(x_train), self.batch_size)
        self.optimizer.update(self.network.params, self.network.gradient(x_train[rows], t_train[rows]))
        loss = self.network.loss(x_train[rows], t_train[rows])
        self.train_loss_list.append(loss)
        if self.verbose:
            print(f"train loss:{loss}")
        if (len(self.train_loss_list) - 1) % self.per_epoch == 0:
            self.train_acc_list.append(self.network.accuracy(x_train[: self.n], t_train[: self.n]))
            self.test_acc_list.append(self.network.accuracy(x_test[: self.n], t_test[: self.n]))
            if self.verbose:
                both = f"train acc:{self.train_acc_list[-1]}, test acc:{self.test_acc_list[-1]}"
                print(f"=== epoch:{len(self.train_acc_list)}, {both} ===")

    def train(self):
        """All epochs."""
        for _ in range(self.max_iter):
            self.train_step()
        accuracy = self.network.accuracy(*self.data[2:])
        if self.verbose:
            print("=" * 15, "Final Test Accuracy", "=" * 15)
            print(f"test acc:{accuracy}")
