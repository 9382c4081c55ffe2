"""Networks of several widths and rates on several processes: mpiexec -n 4 python -m mpi4py many_on_ranks.py."""

import itertools

import numpy as np
from mpi4py import MPI

import fastbp
from fastbp import datasets
from fastbp.optimizers import Adam

comm = MPI.COMM_WORLD
digits = datasets.digits()

learned, held = np.split(np.arange(len(digits.x_train)), [1150])

candidates = list(itertools.product([20, 50, 100], [0.001, 0.003, 0.01]))
nets = [fastbp.mlp([64, width, 10], seed=0, scale=digits.scale) for width, _ in candidates]
histories = fastbp.fit_many(
    nets,
    digits.x_train,
    digits.t_train,
    rows=learned,
    validation_rows=held,
    optimizers=[Adam(rate) for _, rate in candidates],
    epochs=20,
    patience=3,
    seeds=0,
    comm=comm,
)
best = min(range(len(nets)), key=lambda k: min(histories[k].val_loss))  # the same on all ranks
if comm.rank == 0:
    print("width {}, rate {}:".format(*candidates[best]), histories[best])
    nets[best].save("best.safetensors")
