"""Digits on several processes: mpiexec -n 2 python -m mpi4py on_ranks.py."""

from mpi4py import MPI

import fastbp
from fastbp import datasets

comm = MPI.COMM_WORLD
digits = datasets.digits()
n = len(digits.x_train)
own = slice(n * comm.rank // comm.size, n * (comm.rank + 1) // comm.size)

net = fastbp.mlp([64, 100, 10], seed=0)  # the same on all ranks


def save(history):
    if comm.rank == 0:
        net.save("digits.safetensors", state=history.state)


net.fit(
    digits.x_train[own],
    digits.t_train[own],
    scale=digits.scale,
    epochs=20,
    batch_size=64,
    optimizer="adam",
    seed=0,
    callbacks=[save],
    comm=comm,
)
if comm.rank == 0:
    print(f"test accuracy {net.accuracy(digits.x_test, digits.t_test):.4f}")
