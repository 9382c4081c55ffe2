"""Chapter 6: learning rate and weight decay found by trying numbers drawn at random."""

import matplotlib.pyplot as plt
import numpy as np

from fastbp.book.mnist import load_mnist
from fastbp.book.multi_layer_net import MultiLayerNet
from fastbp.book.trainer import Trainer
from fastbp.book.util import shuffle_dataset

train_num = 500
epochs = 50
trials = 40
shown = 10
hidden_size_list = [100, 100, 100, 100, 100, 100]

(x_train, t_train), _ = load_mnist(normalize=True)

np.random.seed(0)
x_train, t_train = shuffle_dataset(x_train[:train_num], t_train[:train_num])
validation_num = int(train_num * 0.2)
x_val, t_val = x_train[:validation_num], t_train[:validation_num]
x_train, t_train = x_train[validation_num:], t_train[validation_num:]

results = {}
for _ in range(trials):
    weight_decay, lr = 10 ** np.random.uniform(-8, -4), 10 ** np.random.uniform(-6, -2)
    network = MultiLayerNet(784, hidden_size_list, 10, weight_decay_lambda=weight_decay)
    trainer = Trainer(
        network,
        x_train,
        t_train,
        x_val,
        t_val,
        epochs=epochs,
        mini_batch_size=100,
        optimizer="sgd",
        optimizer_param={"lr": lr},
        verbose=False,
    )
    trainer.train()
    results["lr:%.2g, weight decay:%.2g" % (lr, weight_decay)] = trainer.test_acc_list, trainer.train_acc_list

best = sorted(results.items(), key=lambda result: result[1][0][-1], reverse=True)[:shown]
plt.figure(figsize=(9, 4))
for i, (name, (val, train)) in enumerate(best):
    print("Best-" + str(i + 1) + " (val acc:" + str(val[-1]) + ") | " + name)
    plt.subplot(2, 5, i + 1)
    plt.title(name.replace(", ", "\n"), fontsize=7)
    plt.plot(val, label="validation")
    plt.plot(train, "--", label="train")
    plt.ylim(0, 1.0)
    plt.xticks([])
    if i % 5:
        plt.yticks([])
plt.legend(fontsize=7)
plt.tight_layout()
plt.show()
