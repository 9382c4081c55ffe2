"""Chapter 8: a deep convolutional network learns to read digits."""

import matplotlib.pyplot as plt
import numpy as np

from fastbp.book.deep_convnet import DeepConvNet
from fastbp.book.mnist import load_mnist
from fastbp.book.trainer import Trainer

train_num = 60000
test_num = 10000
epochs = 20
batch_size = 100
weight_file = "deep_convnet_params.pkl"

(x_train, t_train), (x_test, t_test) = load_mnist(flatten=False)
x_train, t_train, x_test, t_test = x_train[:train_num], t_train[:train_num], x_test[:test_num], t_test[:test_num]

np.random.seed(0)
network = DeepConvNet()
trainer = Trainer(
    network,
    x_train,
    t_train,
    x_test,
    t_test,
    epochs=epochs,
    mini_batch_size=batch_size,
    optimizer="Adam",
    optimizer_param={"lr": 0.001},
    evaluate_sample_num_per_epoch=1000,
)
trainer.train()
network.save_params(weight_file)

train_acc_list, test_acc_list = trainer.train_acc_list, trainer.test_acc_list
plt.figure(figsize=(6, 3))
plt.plot(train_acc_list, "o-", label="train")
plt.plot(test_acc_list, "s--", label="test")
plt.xlabel("epochs")
plt.ylabel("accuracy")
plt.ylim(0.9, 1.0)
plt.legend()
plt.show()
