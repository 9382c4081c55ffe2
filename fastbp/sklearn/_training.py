"""How an estimator is trained: scikit-learn's rules of when to stop, around compiled epochs."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split
from sklearn.utils.class_weight import compute_sample_weight

from fastbp.basics._progress import Bar
from fastbp.basics._warn import is_told_later, warn
from fastbp.sklearn._alone import alone
from fastbp.sklearn._fitted import Fitted, told
from fastbp.sklearn._lbfgs import Objective
from fastbp.sklearn._network import EstimatorNetwork
from fastbp.sklearn._solver import Solver
from fastbp.sklearn._sparse import check_sparse
from fastbp.sklearn._steps import EstimatorSteps
from fastbp.training._class_weight import balanced
from fastbp.training._ranks import ALONE, Alone, on_all_ranks

NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and need to be preprocessed."
)


class Training(Fitted):
    """In place of those methods of scikit-learn's multi-layer perceptrons that compute.

    What they check, keep and name stays scikit-learn's: the classes of ``_estimators`` are this and theirs.
    """

    _best_coefs: list[np.ndarray]
    _best_intercepts: list[np.ndarray]
    best_loss_: Any
    best_validation_score_: Any
    loss_curve_: list[float]
    validation_scores_: Any
    validation_loss_curve_: Any
    _optimizer: Solver

    _ranks: Alone = ALONE
    _checked: tuple[Any, np.ndarray] | None = None  # samples and targets of an ensemble's member, looked at by that
    _draws_rows = False  # whether to train on as many samples, drawn with replacement
    _pause_at: int | None = None  # the epoch after which fit ends early, to go on by _go_on
    _paused: tuple[EstimatorSteps, tuple[Any, ...] | None]
    _left_out: np.ndarray  # (N,) bool, the samples that are neither drawn nor held out

    @on_all_ranks
    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, comm: Any = None) -> Any:
        """Train on samples ``X`` (N, I), an array or a sparse matrix, and targets ``y``, as scikit-learn's does.

        Parameters
        ----------
        X : array or sparse matrix
            (N, I) samples.
        y : array
            (N,) or (N, K) targets.
        sample_weight : (N,) array or None
            What the loss of each sample counts.
        comm : mpi4py communicator or None
            Train on its ranks together, each with samples of its own, as ``Sequential.fit`` does. All need the same
            parameters, a number as ``random_state`` among them, the same classes, and all or none have weights.
            What is held out for ``early_stopping`` is a part of each rank's samples.

        Returns
        -------
        self
        """
        if comm is ALONE:
            return super().fit(X, y, sample_weight)
        self._ranks = comm
        try:
            self._ranks.agree(lambda: {"sample_weight": sample_weight is None} | self._settings())
            return super().fit(X, y, sample_weight)
        finally:
            self.__dict__.pop("_ranks", None)

    def _settings(self) -> dict[str, str]:
        """What has to be the same on all ranks."""
        told = "progress", "verbose", "random_state"
        return {name: repr(value) for name, value in self.get_params().items() if name not in told}

    def _validate_input(self, X: Any, *args: Any, **kwargs: Any) -> tuple[Any, np.ndarray]:
        if self._checked is not None:
            return self._checked
        X, y = super()._validate_input(check_sparse(X), *args, **kwargs)
        if getattr(self, "loss", None) == "poisson" and np.min(y) < 0:
            raise ValueError(f"y must be at least 0 for loss='poisson', got {np.min(y)}")
        if self.dtype is not None:
            X = X.astype(self.dtype, copy=False)
        classes = getattr(self, "classes_", None)
        classes = classes.tolist() if isinstance(classes, np.ndarray) else classes
        self._ranks.agree(
            lambda: {"number of features": X.shape[1], "number of outputs": y.shape[1:], "list of classes": classes}
        )
        # Views, whose shapes and types nobody else can set; those of a sparse matrix are so already.
        return X[...] if isinstance(X, np.ndarray) else X, y[...]

    def _initialize(self, *args: Any, **kwargs: Any) -> None:
        super()._initialize(*args, **kwargs)
        self.validation_loss_curve_ = [] if self.early_stopping and self.solver != "lbfgs" else None

    def _fit(self, *args: Any, **kwargs: Any) -> Any:
        with alone(self):
            return super()._fit(*args, **kwargs)

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
        if isinstance(class_weight, str):
            weights = self._balanced(y)
        else:
            weights = compute_sample_weight(class_weight, self._label_binarizer.inverse_transform(y))
        return weights if sample_weight is None else weights * sample_weight

    def _balanced(self, y: np.ndarray) -> np.ndarray:
        """Weights of samples with which the classes of all ranks are balanced, in each column of labels."""
        one_of_many = self.out_activation_ == "softmax"
        labels = np.argmax(y, axis=1)[:, None] if one_of_many else y.astype(np.intp)
        weights = np.ones(len(y))
        for column in labels.T:
            weights *= balanced(column, y.shape[1] if one_of_many else 2, self._ranks)[column]
        return weights

    def _start(self, X: Any, y: np.ndarray, layer_units: list[int], same_widths: bool) -> EstimatorNetwork:
        """The network that training starts from, on which all that follows is based: coefs_ may change meanwhile.

        Its layers are as many as ``hidden_layer_sizes`` asks for; as scikit-learn's, its hidden layers need not be of
        the widths asked for unless ``same_widths``. ValueError where they are not, and for samples that do not fit.
        """
        network = self._network()
        if network.units != layer_units if same_widths else len(network.units) != len(layer_units):
            raise ValueError(
                f"solver={self.solver!r} cannot go on from coefs_ of layers {network.units} with hidden_layer_sizes of "
                f"layers {layer_units}: fit without warm_start begins anew"
            )
        network.check(X, y)
        self._ranks.agree(lambda: {"start by random_state": np.concatenate([W.ravel() for W in network.coefs])})
        return network

    @told
    def _fit_lbfgs(self, X: Any, y: np.ndarray, sample_weight: np.ndarray | None, *rest: Any) -> None:
        if self.dropout:
            raise ValueError(f"dropout needs solver='sgd' or 'adam', got solver='lbfgs' and dropout={self.dropout!r}")
        network = self._start(X, y, rest[-1], same_widths=True)
        weights = self._with_class_weight(y, sample_weight)
        # SciPy's vector is float64: so is the arithmetic, unless float32 was asked for.
        dtype = np.dtype(self.dtype or np.float64)
        rows = self._drawn(np.arange(X.shape[0]), X.shape[0])
        objective = Objective(network, X, y, weights, alpha=self.alpha, dtype=dtype, ranks=self._ranks, rows=rows)
        self.coefs_, self.intercepts_ = list(network.coefs), list(network.intercepts)
        super()._fit_lbfgs(objective, y, weights, *rest)  # which hands its first argument on, in place of samples
        if self.dtype is not None:
            self.coefs_ = [W.astype(dtype) for W in self.coefs_]
            self.intercepts_ = [b.astype(dtype) for b in self.intercepts_]

    def _loss_grad_lbfgs(self, packed: np.ndarray, objective: Objective, *rest: Any) -> tuple[float, np.ndarray]:
        return objective(packed)

    @told
    def _fit_stochastic(self, X: Any, y: np.ndarray, sample_weight: np.ndarray | None, *rest: Any) -> None:
        layer_units, incremental = rest[-2:]
        network = self._start(X, y, layer_units, same_widths=False)
        sample_weight = self._with_class_weight(y, sample_weight, incremental)
        dtype = network.dtype if self.dtype is None else np.dtype(self.dtype)
        n_parameters = sum(a.size for a in network.coefs + network.intercepts)
        if incremental and hasattr(self, "_optimizer"):
            self._optimizer.go_on(n_parameters, dtype)
        else:
            self._optimizer = Solver(self, n_parameters, dtype)
        self._begin_records(network)
        held_out, places, n_given = None, np.arange(X.shape[0]), X.shape[0]
        if self.early_stopping:
            X, y, sample_weight, places, held_out = self._split(X, y, sample_weight, incremental)
        n_samples = sum(self._ranks.gathered(X.shape[0]))
        seed = self._random_state.randint(2**31) + (self._optimizer.steps << 31) if self.dropout else 0
        steps = EstimatorSteps(
            network,
            X,
            y,
            sample_weight,
            batch_size=self._rows_of_a_batch(n_samples),
            alpha=self.alpha,
            dtype=dtype,
            dropout=self.dropout,
            seed=self._ranks.of_first(seed),
            solver=self._optimizer,
            ranks=self._ranks,
        )
        drawn = self._drawn(places, n_given)
        if drawn is not None:
            steps.order = drawn
        elif not self.shuffle:
            steps.order = steps.shards.order()
        self.n_iter_, self.converged_ = 0, False
        steps.compile()
        if self._pause_at is not None:
            self._paused = steps, held_out
        until = 1 if incremental else min(self.max_iter, self._pause_at or self.max_iter)
        self._train(steps, held_out, until, incremental)

    def _go_on(self, until: int) -> None:
        """Go on, to epoch ``until`` in all, with the training that ``_pause_at`` ended early, as if it had not."""
        if not self.converged_ and np.isfinite(self.loss_):
            self._train(*self._paused, min(self.max_iter, until), False)

    @told
    def _train(self, steps: EstimatorSteps, held_out: tuple[Any, ...] | None, until: int, incremental: bool) -> None:
        self.coefs_, self.intercepts_ = steps.weights()
        try:
            self._epochs(steps, held_out, until, incremental)
        except KeyboardInterrupt:
            if is_told_later():  # one of many, which end, too
                raise
            warn("Training interrupted by user.")
        if held_out is not None and (self.converged_ or not incremental):
            self.coefs_, self.intercepts_ = self._best_coefs, self._best_intercepts
            if incremental:
                self._no_improvement_count = 0
        else:
            self.coefs_, self.intercepts_ = steps.weights()  # over what another thread may have set meanwhile

    def _begin_records(self, network: EstimatorNetwork) -> None:
        """Begin the records that ``_initialize`` does not begin for the solver and ``early_stopping`` of that call."""
        if not hasattr(self, "loss_curve_"):
            self.loss_curve_, self._no_improvement_count = [], 0
            self.validation_scores_ = self.best_validation_score_ = self.best_loss_ = None
        if self.early_stopping and self.validation_scores_ is None:
            self.validation_scores_, self.best_validation_score_, self.validation_loss_curve_ = [], -np.inf, []
            self._best_coefs, self._best_intercepts = network.coefs, network.intercepts
        if not self.early_stopping and self.best_loss_ is None:
            self.best_loss_ = np.inf

    def _rows_of_a_batch(self, n_samples: int) -> int:
        batch_size = self.batch_size
        if batch_size == "auto":
            return min(200, n_samples)
        if batch_size > n_samples:
            warn("Got `batch_size` less than 1 or larger than sample size. It is going to be clipped")
        return min(batch_size, n_samples)

    def _split(self, X: Any, y: np.ndarray, sample_weight: np.ndarray | None, incremental: bool) -> tuple[Any, ...]:
        """Samples, targets, weights and places of those to train on, and what is held out, as scikit-learn splits them.

        ``partial_fit`` holds out the same rows each time, so that none is trained on if the same samples come again.
        """
        random_state = self._random_state
        if incremental:
            if not hasattr(self, "_split_seed"):
                self._split_seed = random_state.randint(2**31)
            random_state = self._split_seed
        places = np.arange(X.shape[0])
        arrays = (X, y, places) if sample_weight is None else (X, y, places, sample_weight)
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
        weights = (None, None) if sample_weight is None else parts[6:]
        return parts[0], parts[2], weights[0], parts[4], (parts[1], parts[3], weights[1])

    def _drawn(self, places: np.ndarray, n_given: int) -> np.ndarray | None:
        """Those to train on of the samples at ``places`` among the ``n_given``, if they are drawn; notes the others."""
        if not self._draws_rows:
            return None
        drawn = np.sort(self._random_state.randint(len(places), size=len(places)))
        self._left_out = np.zeros(n_given, bool)
        self._left_out[places] = True
        self._left_out[places[drawn]] = False
        return drawn

    def _epochs(self, steps: EstimatorSteps, held_out: tuple[Any, ...] | None, until: int, incremental: bool) -> None:
        """Train up to epoch ``until``, or until neither loss nor validation score gets better."""
        solver, tells = self._optimizer, until == self.max_iter and not incremental
        wanted = self.progress and self._ranks.rank == 0
        with Bar(until, "epoch", done=self.n_iter_, wanted=wanted) as bar:
            for left in reversed(range(until - self.n_iter_)):
                if self.shuffle:
                    permutation = np.arange(steps.n_samples)
                    self._random_state.shuffle(permutation)
                    steps.order = steps.order[self._ranks.of_first(permutation)]
                self.loss_ = steps.epoch(solver.rates(steps.per_epoch))
                self.n_iter_ += 1
                self.t_ += steps.n_samples
                self.loss_curve_.append(self.loss_)
                if self.verbose and self._ranks.rank == 0:
                    print(f"Iteration {self.n_iter_}, loss = {self.loss_:.8f}")
                if not np.isfinite(self.loss_) and held_out is None:
                    raise ValueError(NOT_FINITE)
                self._count_improvement(steps, held_out)
                solver.end_epoch(self.t_)
                bar.advance(loss=self.loss_)
                if not np.isfinite(self.loss_):
                    warn(f"{NOT_FINITE} The best weights are kept.", ConvergenceWarning)
                    break
                if self._no_improvement_count > self.n_iter_no_change and self._is_stopping():
                    self.converged_ = True
                    break
                if tells and not left:
                    warn(
                        f"Stochastic Optimizer: Maximum iterations ({until}) reached and the optimization hasn't "
                        "converged yet.",
                        ConvergenceWarning,
                    )

    def _count_improvement(self, steps: EstimatorSteps, held_out: tuple[Any, ...] | None) -> None:
        """Count the epochs without progress of the validation score or, where nothing is held out, of the loss."""
        if held_out is None:
            worse = self.loss_ > self.best_loss_ - self.tol
            self.best_loss_ = min(self.best_loss_, self.loss_)
        else:
            coefs, intercepts = steps.weights()  # not coefs_, which another thread may set
            score, loss = self._validate(self._network_of(coefs, intercepts), *held_out)
            self.validation_scores_.append(score)
            self.validation_loss_curve_.append(loss)
            if self.verbose and self._ranks.rank == 0:
                print(f"Validation score: {score:f}")
            worse = score < self.best_validation_score_ + self.tol
            if score > self.best_validation_score_:
                self.best_validation_score_ = score
                self._best_coefs = [W.copy() for W in coefs]
                self._best_intercepts = [b.copy() for b in intercepts]
        self._no_improvement_count = self._no_improvement_count + 1 if worse else 0

    def _validate(
        self, network: EstimatorNetwork, X: Any, y: np.ndarray, sample_weight: np.ndarray | None
    ) -> tuple[float, float]:
        """Accuracy or R2, not a number where outputs are not finite, and loss of samples that are held out."""
        outputs, loss = network.evaluate(X, y, sample_weight)
        if self._ranks.size > 1:
            total = len(y) if sample_weight is None else float(sample_weight.sum())
            loss = self._ranks.mean({"loss": loss}, total)["loss"]
            outputs, y = (np.concatenate(self._ranks.gathered(part)) for part in (outputs, y))
            sample_weight = None if sample_weight is None else np.concatenate(self._ranks.gathered(sample_weight))
        if not np.isfinite(outputs).all():
            return float("nan"), loss
        if not is_classifier(self):
            return float(r2_score(y, outputs, sample_weight=sample_weight)), loss
        return float(np.average(self._are_right(outputs, y), weights=sample_weight)), loss

    def _are_right(self, outputs: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Of each sample, whether a classifier's ``outputs`` (N, K) say what ``y`` (N, K) does."""
        if self.out_activation_ == "softmax":
            return outputs.argmax(axis=1) == y.argmax(axis=1)
        return ((outputs > 0.5) == y).all(axis=1)

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
        if self.verbose and self._ranks.rank == 0:
            print(what, then)
        return not lowered
