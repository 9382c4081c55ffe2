"""Chapter 4: gradients by differences, and the way down that they show."""

import matplotlib.pyplot as plt
import numpy as np

from fastbp.book.gradient import numerical_gradient, numerical_gradient_2d

lr = 0.1
step_num = 20


def bowl(x):
    return np.sum(x**2)


side = np.arange(-2, 2.25, 0.5)
points = np.array([[a, b] for a in side for b in side])
arrows = -numerical_gradient_2d(bowl, points)

x = np.array([-1.8, 1.6])
path = [x.copy()]
for _ in range(step_num):
    x -= lr * numerical_gradient(bowl, x)
    path.append(x.copy())
path = np.array(path)
print("lowest point found:" + str(x))

plt.figure(figsize=(4.5, 4.5))
plt.quiver(points[:, 0], points[:, 1], arrows[:, 0], arrows[:, 1], angles="xy", color="#888888")
plt.plot(path[:, 0], path[:, 1], "o-", color="#cc3333")
plt.xlabel("x0")
plt.ylabel("x1")
plt.show()
