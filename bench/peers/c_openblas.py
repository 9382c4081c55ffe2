"""A C program with the products of NumPy's own OpenBLAS: what is left when there is no Python in between."""

import ctypes
import os
import shutil
import subprocess
import tempfile
from ctypes import c_float, c_int64, c_void_p
from functools import cache
from pathlib import Path

import numpy as np

from ..networks import ADAM_EPS, BETA1, BETA2, Perceptron, flat
from ..row import Unsuitable, Work
from ._peer import Peer, threads

PEER = Peer("c", module="numpy", package="numpy")
PROGRAM = PEER.form("c openblas", "#444444", "*")

SOURCE = Path(__file__).with_suffix(".c")
OPTIONS = ("-O3", "-march=native", "-ffast-math", "-shared", "-fPIC")
CODES = {"relu": 0, "tanh": 1, "softmax": 0, "mse": 1, "sigmoid": 2, "sgd": 0, "adam": 1}


@cache
def _openblas() -> ctypes.CDLL:
    """The library that came with NumPy, which this process's NumPy uses too."""
    found = sorted(Path(np.__file__).parents[1].glob("numpy.libs/*openblas64*"))
    if not found:
        raise Unsuitable("needs a NumPy that brings its own OpenBLAS, as its wheels do")
    library = ctypes.CDLL(str(found[0]))
    library.scipy_openblas_set_num_threads64_(threads())
    return library


@cache
def _program() -> ctypes.CDLL:
    compiler = shutil.which("cc")
    if compiler is None or os.name == "nt":
        raise Unsuitable("needs a C compiler")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "steps.so")
        subprocess.run([compiler, *OPTIONS, str(SOURCE), "-o", path, "-lm"], check=True, capture_output=True)
        library = ctypes.CDLL(path)
    library.make_net.restype = library.predict.restype = c_void_p
    library.train.argtypes = [c_void_p, c_int64, c_void_p, c_void_p]
    library.predict.argtypes = library.copy_parameters.argtypes = [c_void_p, c_void_p]
    return library


class Net:
    """A network of the program's; it is never freed, and its process ends with the run."""

    def __init__(self, network: Perceptron) -> None:
        self.library, self.x, self.t = _program(), *network.data()
        (self.parameters,) = flat(*network.parameters())
        sgemm = ctypes.cast(_openblas().scipy_cblas_sgemm64_, c_void_p)
        sizes = (c_int64 * len(network.sizes))(*network.sizes)
        kinds = [c_int64(CODES[word]) for word in (network.activation, network.loss, network.optimizer)]
        numbers = [c_float(number) for number in (network.rate, BETA1, BETA2, ADAM_EPS)]
        at = c_void_p(self.parameters.ctypes.data)
        shape = c_int64(len(sizes) - 1), sizes, c_int64(network.batch)
        self.address = self.library.make_net(*shape, *kinds, *numbers, at, sgemm)


@PROGRAM.does("step")
def steps(network: Perceptron) -> Work:
    net = Net(network)
    x, t = net.x.ctypes.data, net.t.ctypes.data  # which the network keeps

    def answer() -> list[np.ndarray]:
        net.library.copy_parameters(net.address, net.parameters.ctypes.data)
        return [net.parameters]

    return Work(lambda: net.library.train(net.address, network.steps, x, t), answer, network.steps)


@PROGRAM.does("predict")
def predict(network: Perceptron) -> Work:
    net = Net(network)
    x, shape = net.x.ctypes.data, (network.batch, network.sizes[-1])

    def answer() -> list[np.ndarray]:
        scores = (c_float * (shape[0] * shape[1])).from_address(net.library.predict(net.address, x))
        return [np.array(scores, np.float32).reshape(shape)]

    return Work(lambda: net.library.predict(net.address, x), answer)
