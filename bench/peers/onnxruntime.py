"""ONNX Runtime: a session of the file that fastbp exports, called with arrays."""

import os
import tempfile

import numpy as np

from ..networks import Perceptron
from ..row import Work
from ._peer import Peer, threads

PEER = Peer("onnxruntime", module="onnxruntime", package="onnxruntime")
SESSION = PEER.form("onnxruntime", "#999933", "v")


@SESSION.does("predict")
def predict(network: Perceptron) -> Work:
    """``run`` of a session with this process's threads, the names of input and output at hand."""
    import onnxruntime

    from .fastbp.networks import net_of

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads(), 1
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "net.onnx")
        net_of(network).to_onnx(path)
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    inputs = {session.get_inputs()[0].name: network.data()[0]}
    outputs = [session.get_outputs()[0].name]
    return Work(lambda: session.run(outputs, inputs), lambda: [np.asarray(a) for a in session.run(outputs, inputs)])
