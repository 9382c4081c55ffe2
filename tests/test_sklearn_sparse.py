"""Sparse samples of ``fastbp.sklearn`` whose indices were changed: checked before compiled code follows them."""

import numpy as np
import pytest
from isolation import isolated

pytest.importorskip("sklearn")
from scipy import sparse
from sklearn.datasets import load_iris

from fastbp.sklearn import MLPClassifier
from fastbp.sklearn._sparse import check_sparse

X, Y = load_iris(return_X_y=True)

# What is done to a matrix of 150 x 40, and the words of the error.
BROKEN = {
    "a column too far": ("csr", "X.indices[5] = 40", "indices must be < 40"),
    "a row too far": ("csc", "X.indices[5] = 150", "indices must be < 150"),
    "far outside": ("csr", "X.indices[5] = 10**8", "indices must be < 40"),
    "more than 32 bits": ("csr", "X.indices = X.indices.astype('i8'); X.indices[3] = 2**32", "indices must be < 40"),
    "a negative column": ("csr", "X.indices[5] = -(10**7)", "indices must be >= 0"),
    "a negative row": ("csc", "X.indices[5] = -(10**7)", "indices must be >= 0"),
    "pointers that fall": ("csr", "X.indptr[3] = 10**6", "indptr must be a non-decreasing sequence"),
    "pointers that overflow": ("csc", "X.indptr[3:] -= 2**31 - 1", "indptr must be a non-decreasing sequence"),
    "pointers that return to 0": ("csr", "X.indptr[-1] = 0", "indptr must be a non-decreasing sequence"),
    "a first pointer": ("csr", "X.indptr[0] = -(10**6)", "index pointer should start with 0"),
    "a last pointer": ("csc", "X.indptr[-1] = 10**7", "Last value of index pointer"),
    "too few pointers": ("csr", "X.indptr = X.indptr[:10]", "index pointer size 10 should be 151"),
    "too few values": ("csr", "X.data = X.data[:10]", "indices and data should have the same size"),
    "too few indices": ("csc", "X.indices = X.indices[:10]", "indices and data should have the same size"),
    "values of two dimensions": ("csr", "X.data = X.data[:, None]", "should be 1-D"),
    "coordinates": ("coo", "X.col[3] = 10**8", "axis 1 index 100000000 exceeds matrix dimension 40"),
    "coordinates below 0": ("coo", "X.row[3] = -1", "negative axis 0 index: -1"),
    "blocks": ("bsr", "X.indices[3] = 10**7", "column index values must be < "),
    "lists of columns": ("lil", "X.rows[3], X.data[3] = [10**8], [1.0]", "indices must be < 40"),
    "lists of other lengths": ("lil", "X.rows[3] = [1, 2, 3]", "rows and data must have the same lengths"),
    "lists that are missing": ("lil", "X.rows = X.rows[:3]", "rows and data must have the same lengths"),
}


def test_broken_matrices_are_an_error_in_every_method_and_no_crash():
    code = """
        import sys, warnings
        import numpy as np
        from scipy import sparse
        from fastbp.sklearn import MLPClassifier
        warnings.simplefilter("ignore")
        rng = np.random.default_rng(0)
        dense, y = np.where(rng.random((150, 40)) < 0.1, 1.5, 0), rng.integers(0, 3, 150)
        fitted = MLPClassifier((8,), max_iter=1).fit(dense, y)
        calls = {
            "fit": lambda X: MLPClassifier((8,), max_iter=1).fit(X, y),
            "lbfgs": lambda X: MLPClassifier((8,), max_iter=1, solver="lbfgs").fit(X, y),
            "hold out": lambda X: MLPClassifier((8,), max_iter=1, early_stopping=True).fit(X, y),
            "partial_fit": lambda X: fitted.partial_fit(X, y),
            "predict": lambda X: fitted.predict(X),
        }
        for name, (form, change, _) in eval(sys.argv[1]).items():
            for call in calls:
                X = getattr(sparse, form + "_array")(dense)
                exec(change)
                try:
                    calls[call](X)
                    print(name, "|", call, "|", "no error")
                except ValueError as error:
                    print(name, "|", call, "|", error)
        """
    lines = [line.split(" | ") for line in isolated(code, repr(BROKEN)).splitlines()]
    assert len(lines) == 5 * len(BROKEN)
    for name, call, error in lines:
        form, _, message = BROKEN[name]
        assert error.startswith(f"X is no valid sparse matrix of format {form}: "), (name, call, error)
        assert message in error, (name, call, error)


@pytest.mark.parametrize("form", ["csr", "csc", "bsr", "coo", "lil", "dok", "dia"])
@pytest.mark.parametrize("kind", ["array", "matrix"])
def test_sound_matrices_of_any_format_are_what_they_were(form, kind):
    x = getattr(sparse, f"{form}_{kind}")(np.where(X > 2, X, 0)[:20])
    before = x.toarray()
    np.testing.assert_array_equal(check_sparse(x).toarray(), before)
    np.testing.assert_array_equal(x.toarray(), before)
    empty = getattr(sparse, f"{form}_{kind}")((20, 4))
    assert check_sparse(empty).nnz == 0 and check_sparse(empty).shape == (20, 4)


@pytest.mark.parametrize("form", ["csr", "csc", "coo"])
def test_indices_changed_after_the_check_do_not_count_and_values_are_not_copied(form):
    x = getattr(sparse, f"{form}_array")(X)
    own = check_sparse(x)
    assert np.shares_memory(own.data, x.data)
    for indices in (x.row, x.col) if form == "coo" else (x.indices, x.indptr):
        indices[:] = 10**8
    np.testing.assert_array_equal(own.toarray(), X)


def test_elements_given_twice_count_as_their_sum():
    x = sparse.csr_array(X)
    twice = sparse.csr_array((np.repeat(x.data / 2, 2), np.repeat(x.indices, 2), 2 * x.indptr), X.shape)
    settings = {"random_state": 0, "solver": "lbfgs", "tol": 0.1}
    a, b = (MLPClassifier(**settings).fit(samples, Y) for samples in (x, twice))
    np.testing.assert_array_equal(a.predict_proba(x), b.predict_proba(twice))
