"""scikit-learn's multi-layer perceptron: ``partial_fit`` for steps, ``fit`` for whole jobs; no momentum, no penalty."""

import multiprocessing
import warnings
from typing import Any

import numpy as np

from .. import mnist
from ..bench_book import BATCH, NETWORK, work
from ..bench_many import RATE as RATE_OF_MANY
from ..bench_many import Many, data
from ..bench_many import work as work_of_many
from ..bench_search import theirs
from ..bench_sklearn import SEED, fit, fit_of
from ..networks import Perceptron, flat
from ..row import Unsuitable, Work
from ._peer import Peer, threads

PEER = Peer("scikit-learn", module="sklearn", package="scikit-learn", imports="import sklearn.neural_network")
PLAIN = PEER.form("scikit-learn", "#E69F00", "X")
MOST_IN_A_POOL = 8  # networks of a call, of which the time of one is told
TREES = PEER.form("scikit-learn trees", "#AA7700", "P", quick=False)


def build(network: Perceptron, **more: Any) -> Any:
    """The classifier, unfitted."""
    if network.loss == "mse" or network.optimizer != "sgd":
        raise Unsuitable("its classifier has no such loss; its regressor starts Adam from no given weights")
    if network.sizes[-1] == 2:
        raise Unsuitable("trains one logistic output in place of two of a softmax")
    from sklearn.neural_network import MLPClassifier

    return MLPClassifier(
        network.sizes[1:-1],
        activation=network.activation,
        solver="sgd",
        alpha=0.0,
        batch_size=network.batch,
        learning_rate_init=network.rate,
        momentum=0.0,
        nesterovs_momentum=False,
        **more,
    )


@PLAIN.does("step")
def steps(network: Perceptron) -> Work:
    """One ``partial_fit`` a step, from the network's first parameters."""
    net = build(network, shuffle=False)
    x, t = network.data()
    t = t.ravel()
    net.partial_fit(x, t, classes=np.arange(max(2, network.sizes[-1])))
    for own, given in zip((net.coefs_, net.intercepts_), network.parameters(), strict=True):
        for i, parameter in enumerate(given):
            own[i][...] = parameter

    def call() -> None:
        for _ in range(network.steps):
            net.partial_fit(x, t)

    return Work(call, lambda: flat(net.coefs_, net.intercepts_), network.steps)


@PLAIN.does("book")
def book(steps: int) -> Work:
    """``fit`` for as many whole passes as have so many steps; the time is counted for the steps asked for."""
    from sklearn.exceptions import ConvergenceWarning

    images = mnist.images()
    x_train, t_train = mnist.x_train(), images.t_train
    passes = -(-steps * BATCH // mnist.TRAIN)
    nets: list = []

    def train() -> None:
        net = build(NETWORK, max_iter=passes, n_iter_no_change=passes + 1, random_state=0)
        nets[:] = [net]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # so many passes and no more is what is asked for
            net.fit(x_train, t_train)

    return work(train, lambda x: nets[0].predict_proba(x), passes * mnist.TRAIN / BATCH / steps)


@PLAIN.does("estimator", "table")
def estimator(name: str, dtype: str) -> Work:
    """Its own estimators."""
    return fit_of("sklearn.neural_network", name, dtype)


@TREES.does("table")
def trees(name: str, dtype: str) -> Work:
    """Its gradient-boosted trees over histograms."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    return fit(lambda: HistGradientBoostingClassifier(random_state=SEED), name, dtype)


def _fitted(many: Many, k: int) -> Any:
    """A perceptron after ``fit``; at the top of the module, as other processes import it."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    x, t = data(many)
    own = many.rows_of(k)
    kind = MLPClassifier if many.is_ensemble else MLPRegressor
    net = kind(
        hidden_layer_sizes=many.sizes[1:-1],
        solver="sgd",
        alpha=0.0,
        batch_size=many.batch,
        learning_rate_init=RATE_OF_MANY * (1 if many.is_ensemble else 2),  # its squared error is half of it
        momentum=0.0,
        nesterovs_momentum=False,
        max_iter=many.epochs,
        n_iter_no_change=many.epochs + 1,
        random_state=k,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return net.fit(x[own], t[own].ravel())


@PLAIN.does("many")
def many_in_a_pool(many: Many) -> Work:
    """``fit`` of each, or of the first of many, in joblib's pool of processes."""
    from joblib import Parallel, delayed

    _may_start_processes()
    n = min(many.n, MOST_IN_A_POOL)
    nets: list[Any] = []
    pool = Parallel(n_jobs=threads())

    def train() -> None:
        nets[:] = pool(delayed(_fitted)(many, k) for k in range(n))

    def scores(k: int, x: np.ndarray) -> np.ndarray:
        return nets[k].predict_proba(x) if many.is_ensemble else nets[k].predict(x)[:, None]

    return work_of_many(many, train, scores, n)


@PLAIN.does("search")
def search(dtype: str, jobs: int) -> Work:
    """``GridSearchCV`` in as many processes as the row has threads."""
    _may_start_processes()
    return theirs(dtype, jobs)


def _may_start_processes() -> None:
    """Let joblib start some, as it does not in a daemon, which servers are so that they end with the run."""
    process: Any = multiprocessing.current_process()
    process._config["daemon"] = False
