"""fastbp as a peer, and the ways to drive it."""

from .._peer import Peer

FIRST_STEP = """
import fastbp
net = fastbp.Sequential([fastbp.Affine(W1, b1), fastbp.Relu(), fastbp.Affine(W2, b2)])
net.step(x, t, fastbp.optimizers.SGD(lr=0.1))
print(np.abs(net.params["W2"]).sum())
"""

PEER = Peer("fastbp", module="fastbp", package="fastbp", imports="import fastbp", first_step=FIRST_STEP, is_own=True)
COMPILED = PEER.form("fastbp", "#D55E00", "o")
LAYERS = PEER.form("fastbp layers", "#F0A070", "o")
PROGRAM = PEER.form("fastbp program", "#A04000", "o")
ONE_BY_ONE = PEER.form("fastbp fit", "#7A2E00", "o")
