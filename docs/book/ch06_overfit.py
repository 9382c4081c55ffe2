"""Chapter 6: few samples learned by heart, and what weight decay and dropout do about that."""

import matplotlib.pyplot as plt
import numpy as np

from fastbp.book.mnist import load_mnist
from fastbp.book.multi_layer_net_extend import MultiLayerNetExtend
from fastbp.book.trainer import Trainer

train_num = 300
epochs = 201
hidden_size_list = [100, 100, 100, 100, 100, 100]
experiments = {
    "nothing": {},
    "weight decay": {"weight_decay_lambda": 0.1},
    "dropout": {"use_dropout": True, "dropout_ration": 0.2},
}

(x_train, t_train), (x_test, t_test) = load_mnist(normalize=True)
x_train, t_train = x_train[:train_num], t_train[:train_num]

results = {}
plt.figure(figsize=(9, 3))
for i, (name, options) in enumerate(experiments.items(), 1):
    np.random.seed(0)
    network = MultiLayerNetExtend(784, hidden_size_list, 10, **options)
    trainer = Trainer(
        network,
        x_train,
        t_train,
        x_test,
        t_test,
        epochs=epochs,
        mini_batch_size=100,
        optimizer="sgd",
        optimizer_param={"lr": 0.01},
        evaluate_sample_num_per_epoch=1000,
        verbose=False,
    )
    trainer.train()
    results[name] = trainer.train_acc_list, trainer.test_acc_list
    print(name + ": train acc:" + str(results[name][0][-1]) + ", test acc:" + str(results[name][1][-1]))

    plt.subplot(1, 3, i)
    plt.title(name)
    plt.plot(results[name][0], label="train")
    plt.plot(results[name][1], "--", label="test")
    plt.xlabel("epochs")
    plt.ylim(0, 1.0)
    plt.legend(loc="lower right")
plt.tight_layout()
plt.show()
