"""Chapter 3: step, sigmoid and ReLU."""

import matplotlib.pyplot as plt
import numpy as np

from fastbp.book.functions import relu, sigmoid, step_function

x = np.arange(-5.0, 5.0, 0.1)
curves = {"step": step_function(x), "sigmoid": sigmoid(x), "ReLU": relu(x)}

plt.figure(figsize=(6, 3))
for name, y in curves.items():
    plt.plot(x, y, label=name)
plt.ylim(-0.1, 1.6)
plt.legend()
plt.show()
