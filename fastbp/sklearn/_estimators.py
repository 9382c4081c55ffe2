"""The estimators: scikit-learn's constructors with a few parameters more."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn import neural_network
from sklearn.utils._param_validation import Interval, Options, StrOptions

from fastbp.sklearn._ensemble import Ensemble
from fastbp.sklearn._network import ACTIVATIONS

_FLOATS = np.float32, np.float64
_OWN_CONSTRAINTS: dict[str, list[Any]] = {
    "activation": [StrOptions(set(ACTIVATIONS)), list, tuple],
    "dropout": [Interval(Real, 0, 1, closed="left")],
    "dtype": [
        StrOptions({"float32", "float64"}),
        Options(type, set(_FLOATS)),
        Options(np.dtype, set(map(np.dtype, _FLOATS))),
        None,
    ],
    "progress": ["boolean"],
    "n_estimators": [Interval(Integral, 1, None, closed="left")],
    "bootstrap": ["boolean"],
    "oob_score": ["boolean"],
}


class MLPClassifier(Ensemble, neural_network.MLPClassifier):
    """``sklearn.neural_network.MLPClassifier``, trained in compiled code.

    All of its parameters, attributes and methods are scikit-learn's, and with the same ``random_state`` it starts from
    the same weights and takes the samples in the same order; see there. In addition there are the method ``to_network``
    and what follows.

    ``early_stopping`` also goes with ``partial_fit``: a part ``validation_fraction`` of each call's samples is held
    out. When ``n_iter_no_change`` calls in turn brought no better score, the weights go back to the best ones, and
    ``converged_`` is True until the next call.

    Parameters
    ----------
    activation : str or sequence of str
        One of scikit-learn's four, or another of ``fastbp.mlp``'s, as "gelu"; or a list, one for each hidden layer.
    class_weight : dict, "balanced" or None
        From class to weight; for several labels a sample a list of dicts. Multiplies the sample weights.
        ``partial_fit`` does not take "balanced", which needs to know all samples.
    dropout : float, 0 <= dropout < 1
        Probability to drop an output of a hidden layer in training.
    dtype : {"float32", "float64"} or None
        Of weights and outputs; samples are converted. If None it is that of the samples, float64 for integers. Training
        that goes on with another dtype converts the weights.
    progress : bool
        Whether to show a progress bar on a terminal or in a notebook, and that kernels are compiled, which ``verbose``
        shows too.
    n_estimators : int
        How many networks to train, on ``fastbp.get_num_threads()`` threads, each from a seed of its own that is drawn
        from ``random_state``. Predictions are by the mean of their probabilities.
    bootstrap : bool
        Whether each network learns from as many samples as there are, drawn with replacement; no sample is copied.
    oob_score : bool
        Whether to predict each sample by the networks that have not seen it. Needs ``bootstrap``.

    Attributes
    ----------
    estimators_ : list of MLPClassifier
        The networks, where there are several or ``bootstrap`` is true. Weights and curves are theirs then, and not this
        one's; ``loss_`` is the mean of theirs, ``n_iter_`` the largest.
    oob_score_, oob_decision_function_ : float and (N, K) array
        With ``oob_score``: the accuracy of those predictions, and the mean probabilities that they go by, NaN for
        samples that no network has left out. Nothing held out for ``early_stopping`` counts as left out.
    validation_loss_curve_ : list
        The loss of the samples held out, without penalty, after each epoch; None unless ``early_stopping``.
    converged_ : bool
        Whether training ended for want of improvement. Only of the solvers "sgd" and "adam".

    Examples
    --------
    >>> MLPClassifier(solver="lbfgs", random_state=0).fit([[0.0], [1.0]], ["no", "yes"]).predict([[2.0]])
    array(['yes'], dtype='<U3')
    """

    _parameter_constraints: ClassVar[dict] = {
        **neural_network.MLPClassifier._parameter_constraints,
        **_OWN_CONSTRAINTS,
        "class_weight": [dict, list, StrOptions({"balanced"}), None],
    }

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        class_weight: Any = None,
        dropout: float = 0.0,
        dtype: Any = None,
        progress: bool = False,
        n_estimators: int = 1,
        bootstrap: bool = False,
        oob_score: bool = False,
    ) -> None:
        super().__init__(
            hidden_layer_sizes=hidden_layer_sizes,
            activation=activation,
            solver=solver,
            alpha=alpha,
            batch_size=batch_size,
            learning_rate=learning_rate,
            learning_rate_init=learning_rate_init,
            power_t=power_t,
            max_iter=max_iter,
            shuffle=shuffle,
            random_state=random_state,
            tol=tol,
            verbose=verbose,
            warm_start=warm_start,
            momentum=momentum,
            nesterovs_momentum=nesterovs_momentum,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            n_iter_no_change=n_iter_no_change,
            max_fun=max_fun,
        )
        self.class_weight = class_weight
        self.dropout = dropout
        self.dtype = dtype
        self.progress = progress
        self.n_estimators = n_estimators
        self.bootstrap = bootstrap
        self.oob_score = oob_score


class MLPRegressor(Ensemble, neural_network.MLPRegressor):
    """``sklearn.neural_network.MLPRegressor``, trained in compiled code.

    All of its parameters, attributes and methods are scikit-learn's, and with the same ``random_state`` it starts from
    the same weights and takes the samples in the same order; see there. In addition it has the parameters ``dropout``,
    ``dtype``, ``progress``, ``n_estimators``, ``bootstrap`` and ``oob_score``, the attributes
    ``validation_loss_curve_``, ``converged_``, ``estimators_`` and ``oob_score_`` and the method ``to_network`` of
    ``MLPClassifier``, and takes ``early_stopping`` in ``partial_fit`` as that does. An ensemble predicts the mean of
    its networks' predictions. With ``oob_score`` those by the networks that have not seen a sample are in
    ``oob_prediction_``, (N,) or (N, K), and ``oob_score_`` is their R2.

    >>> MLPRegressor(solver="lbfgs", random_state=0).fit([[0.0], [1.0]], [1.0, 3.0]).predict([[1.0]]).round(2)
    array([3.])
    """

    _parameter_constraints: ClassVar[dict] = {**neural_network.MLPRegressor._parameter_constraints, **_OWN_CONSTRAINTS}

    def __init__(
        self,
        loss: str = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        dropout: float = 0.0,
        dtype: Any = None,
        progress: bool = False,
        n_estimators: int = 1,
        bootstrap: bool = False,
        oob_score: bool = False,
    ) -> None:
        super().__init__(
            loss=loss,
            hidden_layer_sizes=hidden_layer_sizes,
            activation=activation,
            solver=solver,
            alpha=alpha,
            batch_size=batch_size,
            learning_rate=learning_rate,
            learning_rate_init=learning_rate_init,
            power_t=power_t,
            max_iter=max_iter,
            shuffle=shuffle,
            random_state=random_state,
            tol=tol,
            verbose=verbose,
            warm_start=warm_start,
            momentum=momentum,
            nesterovs_momentum=nesterovs_momentum,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            n_iter_no_change=n_iter_no_change,
            max_fun=max_fun,
        )
        self.dropout = dropout
        self.dtype = dtype
        self.progress = progress
        self.n_estimators = n_estimators
        self.bootstrap = bootstrap
        self.oob_score = oob_score
