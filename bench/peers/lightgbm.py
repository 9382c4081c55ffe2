"""LightGBM: gradient-boosted trees over histograms, by its scikit-learn interface."""

from ..bench_sklearn import SEED, fit
from ..row import Work
from ._peer import Peer, threads

PEER = Peer("lightgbm", module="lightgbm", package="lightgbm", imports="import lightgbm")
TREES = PEER.form("lightgbm", "#66AA00", "p", quick=False)


@TREES.does("table")
def trees(name: str, dtype: str) -> Work:
    """Its classifier."""
    from lightgbm import LGBMClassifier

    return fit(lambda: LGBMClassifier(random_state=SEED, n_jobs=threads(), verbose=-1), name, dtype)
