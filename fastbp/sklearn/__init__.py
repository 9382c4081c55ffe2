"""scikit-learn's multi-layer perceptrons on fastbp's kernels: the import is all that changes.

>>> from fastbp.sklearn import MLPClassifier, MLPRegressor, MLPSearchCV, cross_fit
"""

try:
    import sklearn as _sklearn  # noqa: F401
except ImportError as error:
    from fastbp.basics._extra import install

    raise ImportError(f"fastbp.sklearn needs scikit-learn: {install('sklearn')}") from error

from fastbp.sklearn._cross_fit import cross_fit
from fastbp.sklearn._estimators import MLPClassifier, MLPRegressor
from fastbp.sklearn._search import MLPSearchCV

__all__ = ["MLPClassifier", "MLPRegressor", "MLPSearchCV", "cross_fit"]
