"""How an estimator is trained: scikit-learn's rules of when to stop, around compiled epochs."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.validation import validate_data

from fastbp._progress import Bar, told_if
from fastbp.sklearn._lbfgs import Objective
from fastbp.sklearn._network import Network
from fastbp.sklearn._program import Program
from fastbp.sklearn._solver import Solver

NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and need to be preprocessed."
)


_told = told_if(lambda estimator, *args, **others: estimator.progress or estimator.verbose)


class Training(BaseEstimator):
    """In place of those methods of scikit-learn's multi-layer perceptrons that compute.

    What they check, keep and name stays scikit-learn's: the classes of ``_estimators`` are this and theirs.
    """

    coefs_: list[np.ndarray]
    intercepts_: list[np.ndarray]
    _best_coefs: list[np.ndarray]
    _best_intercepts: list[np.ndarray]
    best_loss_: float
    best_validation_score_: float
    validation_loss_curve_: Any

    def _network(self) -> Network:
        return Network(self.coefs_, self.intercepts_, self.activation, self.out_activation_)

    @_told
    def _forward_pass_fast(self, X: Any, check_input: bool = True) -> np.ndarray:
        if check_input:
            X = validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)
        if self.dtype is not None:
            X = X.astype(self.dtype, copy=False)
        return self._network().outputs(X)

    def _validate_input(self, *args: Any, **kwargs: Any) -> tuple[Any, np.ndarray]:
        X, y = super()._validate_input(*args, **kwargs)
        if getattr(self, "loss", None) == "poisson" and np.min(y) < 0:
            raise ValueError(f"y must be at least 0 for loss='poisson', got {np.min(y)}")
        return (X if self.dtype is None else X.astype(self.dtype, copy=False)), y

    def _initialize(self, *args: Any, **kwargs: Any) -> None:
        super()._initialize(*args, **kwargs)
        self.validation_loss_curve_ = [] if self.early_stopping and self.solver != "lbfgs" else None

    def _with_class_weight(
        self, y: np.ndarray, sample_weight: np.ndarray | None, incremental: bool = False
    ) -> np.ndarray | None:
        """The weights of samples times those of their classes."""
        class_weight = getattr(self, "class_weight", None)
        if class_weight is None:
            return sample_weight
        if incremental and isinstance(class_weight, str):
            raise ValueError(
                "class_weight='balanced' needs to know all samples, which partial_fit does not: pass a dict, as "
                "sklearn.utils.class_weight.compute_class_weight makes it"
            )
        weights = compute_sample_weight(class_weight, self._label_binarizer.inverse_transform(y))
        return weights if sample_weight is None else weights * sample_weight

    @_told
    def _fit_lbfgs(self, X: Any, y: np.ndarray, sample_weight: np.ndarray | None, *rest: Any) -> None:
        if self.dropout:
            raise ValueError(f"dropout needs solver='sgd' or 'adam', got solver='lbfgs' and dropout={self.dropout!r}")
        weights = self._with_class_weight(y, sample_weight)
        # SciPy's vector is float64: so is the arithmetic, unless float32 was asked for.
        dtype = np.dtype(self.dtype or np.float64)
        self._objective = Objective(self._network(), X, y, weights, alpha=self.alpha, dtype=dtype)
        try:
            super()._fit_lbfgs(X, y, weights, *rest)
        finally:
            del self._objective
        if self.dtype is not None:
            self.coefs_ = [W.astype(dtype) for W in self.coefs_]
            self.intercepts_ = [b.astype(dtype) for b in self.intercepts_]

    def _loss_grad_lbfgs(self, packed: np.ndarray, *rest: Any) -> tuple[float, np.ndarray]:
        return self._objective(packed)

    @_told
    def _fit_stochastic(self, X: Any, y: np.ndarray, sample_weight: np.ndarray | None, *rest: Any) -> None:
        incremental = rest[-1]
        sample_weight = self._with_class_weight(y, sample_weight, incremental)
        n_parameters = sum(a.size for a in self.coefs_ + self.intercepts_)
        dtype = self.coefs_[0].dtype
        if not incremental or not hasattr(self, "_optimizer"):
            self._optimizer = Solver(self, n_parameters, dtype)
        held_out = None
        if self.early_stopping:
            X, y, sample_weight, held_out = self._split(X, y, sample_weight, incremental)
        n_samples = X.shape[0]
        program = Program(
            self._network(),
            X,
            y,
            sample_weight,
            batch_size=self._rows_of_a_batch(n_samples),
            alpha=self.alpha,
            dtype=dtype,
            dropout=self.dropout,
            seed=self._random_state.randint(2**31) + (self._optimizer.steps << 31) if self.dropout else 0,
            solver=self._optimizer,
        )
        self.coefs_, self.intercepts_ = program.weights()
        try:
            self._epochs(program, held_out, 1 if incremental else self.max_iter, incremental)
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=5)
        if self.early_stopping and (self.converged_ or not incremental):
            self.coefs_, self.intercepts_ = self._best_coefs, self._best_intercepts
            if incremental:
                self._no_improvement_count = 0

    def _rows_of_a_batch(self, n_samples: int) -> int:
        if self.batch_size == "auto":
            return min(200, n_samples)
        if self.batch_size > n_samples:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped", stacklevel=6
            )
        return min(self.batch_size, n_samples)

    def _split(self, X: Any, y: np.ndarray, sample_weight: np.ndarray | None, incremental: bool) -> tuple[Any, ...]:
        """Samples, targets and weights to train on, and the tuple of those held out, as scikit-learn splits them.

        ``partial_fit`` holds out the same rows each time, so that none is trained on if the same samples come again.
        """
        random_state = self._random_state
        if incremental:
            if not hasattr(self, "_split_seed"):
                self._split_seed = random_state.randint(2**31)
            random_state = self._split_seed
        arrays = (X, y) if sample_weight is None else (X, y, sample_weight)
        parts = train_test_split(
            *arrays,
            random_state=random_state,
            test_size=self.validation_fraction,
            stratify=y if is_classifier(self) and self.n_outputs_ == 1 else None,
        )
        if parts[1].shape[0] < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
            )
        weights = (None, None) if sample_weight is None else parts[4:]
        return parts[0], parts[2], weights[0], (parts[1], parts[3], weights[1])

    def _epochs(self, program: Program, held_out: tuple[Any, ...] | None, max_iter: int, incremental: bool) -> None:
        """Train for ``max_iter`` epochs, or until neither loss nor validation score gets better."""
        self.n_iter_, self.converged_ = 0, False
        solver = self._optimizer
        program.compile()
        with Bar(max_iter, "epoch", wanted=self.progress) as bar:
            for _ in range(max_iter):
                if self.shuffle:
                    permutation = np.arange(program.n_samples)
                    self._random_state.shuffle(permutation)
                    program.order = program.order[permutation]
                self.loss_ = program.epoch(solver.rates(program.per_epoch))
                self.n_iter_ += 1
                self.t_ += program.n_samples
                self.loss_curve_.append(self.loss_)
                if self.verbose:
                    print(f"Iteration {self.n_iter_}, loss = {self.loss_:.8f}")
                if not np.isfinite(self.loss_) and held_out is None:
                    raise ValueError(NOT_FINITE)
                self._count_improvement(held_out)
                solver.end_epoch(self.t_)
                bar.advance(loss=self.loss_)
                if not np.isfinite(self.loss_):
                    warnings.warn(f"{NOT_FINITE} The best weights are kept.", ConvergenceWarning, stacklevel=6)
                    break
                if self._no_improvement_count > self.n_iter_no_change and self._is_stopping():
                    self.converged_ = True
                    break
                if self.n_iter_ == max_iter and not incremental:
                    warnings.warn(
                        f"Stochastic Optimizer: Maximum iterations ({max_iter}) reached and the optimization hasn't "
                        "converged yet.",
                        ConvergenceWarning,
                        stacklevel=6,
                    )

    def _count_improvement(self, held_out: tuple[Any, ...] | None) -> None:
        """Count the epochs without progress of the validation score or, where nothing is held out, of the loss."""
        if held_out is None:
            worse = self.loss_ > self.best_loss_ - self.tol
            self.best_loss_ = min(self.best_loss_, self.loss_)
        else:
            score, loss = self._validate(*held_out)
            self.validation_scores_.append(score)
            self.validation_loss_curve_.append(loss)
            if self.verbose:
                print(f"Validation score: {score:f}")
            worse = score < self.best_validation_score_ + self.tol
            if score > self.best_validation_score_:
                self.best_validation_score_ = score
                self._best_coefs = [W.copy() for W in self.coefs_]
                self._best_intercepts = [b.copy() for b in self.intercepts_]
        self._no_improvement_count = self._no_improvement_count + 1 if worse else 0

    def _validate(self, X: Any, y: np.ndarray, sample_weight: np.ndarray | None) -> tuple[float, float]:
        """Accuracy or R2, not a number where outputs are not finite, and loss of samples that are held out."""
        outputs, loss = self._network().evaluate(X, y, sample_weight)
        if not np.isfinite(outputs).all():
            return float("nan"), loss
        if not is_classifier(self):
            return float(r2_score(y, outputs, sample_weight=sample_weight)), loss
        if self.out_activation_ == "softmax":
            right = outputs.argmax(axis=1) == y.argmax(axis=1)
        else:
            right = ((outputs > 0.5) == y).all(axis=1)
        return float(np.average(right, weights=sample_weight)), loss

    def _is_stopping(self) -> bool:
        """Whether training ends for want of improvement: not where the learning rate can be lowered instead."""
        measure = "Validation score" if self.early_stopping else "Training loss"
        what = f"{measure} did not improve more than tol={self.tol:f} for {self.n_iter_no_change} consecutive epochs."
        lowered = self._optimizer.lower_rate()
        if lowered:
            self._no_improvement_count = 0
            then = f"Setting learning rate to {self._optimizer.learning_rate:f}"
        elif self.solver == "sgd" and self.learning_rate == "adaptive":
            then = "Learning rate too small. Stopping."
        else:
            then = "Stopping."
        if self.verbose:
            print(what, then)
        return not lowered
