"""Predictions of each sample by a network that has not seen it, all folds at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.model_selection import check_cv
from sklearn.model_selection._validation import _fit_and_predict
from sklearn.preprocessing import LabelEncoder
from sklearn.utils import indexable
from sklearn.utils.validation import _num_samples

from fastbp.basics import _arguments
from fastbp.basics._warn import ToldOnce
from fastbp.sklearn._folds import checked_splits
from fastbp.sklearn._sparse import check_sparse
from fastbp.sklearn._trials import check_params, network_of, run, without_seed

METHODS = "predict", "predict_proba", "predict_log_proba"


def cross_fit(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    groups: Any = None,
    cv: Any = None,
    method: str = "predict",
    params: dict[str, Any] | None = None,
    threads: int | None = None,
    progress: bool = False,
) -> Any:
    """Predict each sample by a network trained on the others, as ``cross_val_predict`` does, all folds at once.

    >>> from fastbp.sklearn import MLPClassifier
    >>> from sklearn.datasets import load_iris
    >>> x, y = load_iris(return_X_y=True)
    >>> cross_fit(MLPClassifier(solver="lbfgs", random_state=0), x, y, method="predict_proba").shape
    (150, 3)

    Parameters
    ----------
    estimator : MLPClassifier, MLPRegressor or Pipeline
        One of fastbp's, or a ``Pipeline`` that ends in one; it stays as it is.
    X : array, sparse matrix or frame
        (N, I) samples; a pipeline's may be anything that has rows.
    y : array
        (N,) or (N, K) targets.
    groups : (N,) array or None
        What the splitter keeps together.
    cv : int, splitter, iterable of pairs of rows, or None
        As of ``cross_val_predict``: each sample is tested on in one fold.
    method : {"predict", "predict_proba", "predict_log_proba"}
        What is asked of the networks.
    params : dict or None
        What goes to ``fit``, such as ``sample_weight``, of which each fold has its part.
    threads : int or None
        How many to use, ``fastbp.get_num_threads()`` if None. Predictions are the same for any number.
    progress : bool
        Whether to show a progress bar on a terminal or in a notebook.

    Returns
    -------
    (N,) or (N, K) array
        In the order of the samples; the columns of probabilities are the classes in order.

    Raises
    ------
    TypeError
        For an estimator that is not fastbp's.
    ValueError
        For an unknown method, and for folds that are empty, overlap, train without a class or leave samples out.
    """
    _arguments.choice("method", method, METHODS)
    if threads is not None:
        threads = _arguments.integer("threads", threads, 1)
    network_of(estimator)
    check_params(params or {})
    X, y = indexable(check_sparse(X), y)
    if y is None:
        raise ValueError("y must be the targets of the samples, got None")
    if not hasattr(estimator, method):
        raise ValueError(f"method={method!r} is none of {type(estimator).__name__}'s")
    cv = check_cv(cv, y, classifier=is_classifier(estimator))
    splits = checked_splits(cv.split(X, y, groups), X, y, estimator)
    order = np.concatenate([test for _, test in splits])
    times = np.bincount(order, minlength=_num_samples(X))
    if (times != 1).any():
        sample = int(np.argmax(times != 1))
        raise ValueError(
            f"each sample must be tested on in one fold of cv, and sample {sample} is in {times[sample]}: a splitter "
            "such as KFold has each in one"
        )
    if method != "predict":
        y = _numbered(np.asarray(y))
    names = without_seed(estimator)
    seeds = [{name: np.random.randint(2**31 - 1) for name in names} for _ in splits]

    def predicted(k: int) -> Any:
        model = clone(estimator).set_params(**seeds[k])
        network_of(model).progress = False
        return _fit_and_predict(model, X, y, *splits[k], params, method)

    with ToldOnce():
        found = np.concatenate(run(len(splits), predicted, threads, progress, "fold"))
    predictions = np.empty_like(found)
    predictions[order] = found
    return predictions


def _numbered(y: np.ndarray) -> np.ndarray:
    """Classes as numbers of their columns."""
    if y.ndim == 1:
        return LabelEncoder().fit_transform(y)
    return np.stack([LabelEncoder().fit_transform(column) for column in y.T], axis=1)
