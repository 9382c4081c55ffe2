"""Chapter 6: four optimizers on a long valley of two variables."""

import matplotlib.pyplot as plt

from fastbp.book.optimizer import *

step_num = 30
begin = (-7.0, 2.0)
optimizers = {"SGD": SGD(lr=0.95), "Momentum": Momentum(lr=0.1), "AdaGrad": AdaGrad(lr=1.5), "Adam": Adam(lr=0.3)}

X, Y = np.meshgrid(np.linspace(-10, 10, 50), np.linspace(-4, 4, 50))
paths = {}
plt.figure(figsize=(7, 5))
for i, (key, optimizer) in enumerate(optimizers.items(), 1):
    params = {"x": begin[0], "y": begin[1]}
    path = [tuple(params.values())]
    for _ in range(step_num):
        optimizer.update(params, {"x": params["x"] / 10.0, "y": 2.0 * params["y"]})
        path.append((params["x"], params["y"]))
    paths[key] = path

    plt.subplot(2, 2, i)
    plt.contour(X, Y, X**2 / 20 + Y**2, levels=[0.3, 1, 2, 4, 7], colors="#aaaaaa", linewidths=0.6)
    plt.plot(*zip(*path), "o-", color="#cc3333", markersize=3)
    plt.title(key)
plt.tight_layout()
plt.show()
