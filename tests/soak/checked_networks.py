"""A few small networks of either type, for what looks on: see ``test_valgrind`` and ``test_sanitizers``."""

import numpy as np
from random_networks import LAYERS, LOSSES, random_problem

import fastbp

fastbp.set_num_threads(1)
for place, subject in enumerate((*LAYERS, *LOSSES)):
    for dtype in (np.float32, np.float64):
        problem = random_problem(np.random.default_rng([9, place]), subject, dtype, widest=23, most_rows=19)
        net, (x, t, weights) = problem.net, problem.batch
        net.gradient(x, t)
        net.predict(x)
        batch_size = -(-len(x) // 2)
        net.fit(x, t, batch_size=batch_size, optimizer="adam", sample_weight=weights, seed=0, progress=False)
print("done")
