"""scikit-learn's multi-layer perceptrons on fastbp's kernels: the import is all that changes.

>>> from fastbp.sklearn import MLPClassifier, MLPRegressor
"""

try:
    import sklearn as _sklearn  # noqa: F401
except ImportError as error:
    from fastbp.basics._extra import install

    raise ImportError(f"fastbp.sklearn needs scikit-learn: {install('sklearn')}") from error

from fastbp.sklearn._estimators import MLPClassifier, MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
