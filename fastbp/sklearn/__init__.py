"""scikit-learn's multi-layer perceptrons on fastbp's kernels: the import is all that changes.

>>> from fastbp.sklearn import MLPClassifier, MLPRegressor
"""

try:
    import sklearn as _sklearn  # noqa: F401
except ImportError as error:
    raise ImportError("fastbp.sklearn needs scikit-learn: pip install 'fastbp[sklearn]'") from error

from fastbp.sklearn._estimators import MLPClassifier, MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
