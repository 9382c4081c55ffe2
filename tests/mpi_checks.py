"""What ranks check together, in one start of them: mpiexec -n P python mpi_checks.py FOLDER.

Each check has the same examples on all ranks, and trains on its own shard of them. Prints a line for each that fails.
"""

import io
import itertools
import os
import runpy
import sys
import traceback
import warnings
from pathlib import Path

import numpy as np
from mpi4py import MPI
from own_layers import Linear
from small_nets import examples, small

import fastbp
from fastbp import Affine, BatchNormalization, Dropout, Relu, Sequential
from fastbp.optimizers import Adam, Momentum

COMM = MPI.COMM_WORLD
RANK, SIZE = COMM.rank, COMM.size
N = 170
BOUNDS = [0, *(N * (r + 1) * (r + 2) // (SIZE * (SIZE + 1)) for r in range(SIZE))]  # shards that differ in size
OWN = slice(*BOUNDS[RANK : RANK + 2])
X, T = examples(N)
WEIGHTS = np.random.default_rng(2).random(N)
TO_ROUNDING = {"rtol": 1e-6, "atol": 1e-12}


def together(net, own=OWN, **options):
    """The History of a fit of all ranks."""
    return net.fit(X[own], T[own], **{"comm": COMM, "seed": 5, "batch_size": 17, "progress": False} | options)


def alone(net, rows=slice(None), **options):
    return net.fit(X[rows], T[rows], **{"seed": 5, "batch_size": 17, "progress": False} | options)


def vector(net):
    return net._binding().vector.copy()


def assert_same_on_all(*values):
    for value in values:
        assert all(repr(other) == repr(value) for other in COMM.allgather(value))


def raised(function):
    """What a call raises, which has to be something on all ranks."""
    try:
        function()
    except Exception as error:
        found = error
    else:
        found = None
    assert all(COMM.allgather(found is not None))
    return found


def ranks_follow_the_curve_of_one():
    """100 steps, with all that has to know of all ranks."""
    held = examples(40)
    options = {"epochs": 10, "optimizer": Adam(lr=0.02), "clip_norm": 0.3, "class_weight": "balanced", "accuracy": True}
    one, net, again = small(), small(), small()
    expected = alone(one, **options, sample_weight=WEIGHTS, validation_data=held)
    shard = slice(RANK, None, SIZE)
    options |= {"sample_weight": WEIGHTS[OWN], "validation_data": (held[0][shard], held[1][shard])}
    history = together(net, **options)
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        assert len(getattr(history, name)) == 10
        np.testing.assert_allclose(getattr(history, name), getattr(expected, name), **TO_ROUNDING, err_msg=name)
    np.testing.assert_allclose(vector(net), vector(one), **TO_ROUNDING)
    repeated = together(again, **options)
    assert vector(again).tobytes() == vector(net).tobytes() and repeated.loss == history.loss
    assert_same_on_all(vector(net).tobytes(), history.lists(), history.state.step)


def without_shuffling_shards_are_used_up_alike():
    one, net = small(), small()
    order = np.argsort(np.concatenate([(np.arange(n) + 0.5) / n for n in np.diff(BOUNDS)]), kind="stable")
    own = [np.count_nonzero((batch >= OWN.start) & (batch < OWN.stop)) for batch in np.split(order, 10)]
    assert max(own) - min(own) <= 1
    expected, history = alone(one, order, shuffle=False), together(net, shuffle=False)
    np.testing.assert_allclose(history.loss, expected.loss, **TO_ROUNDING)
    np.testing.assert_allclose(vector(net), vector(one), **TO_ROUNDING)


def a_shard_is_read_where_it_lies_in_a_file():
    path = Path(sys.argv[1]) / f"x{SIZE}.npy"
    if RANK == 0:
        np.save(path, X)
    COMM.Barrier()
    nets = small(), small()
    together(nets[0])
    nets[1].fit(np.load(path, mmap_mode="r")[OWN], T[OWN], comm=COMM, seed=5, batch_size=17)
    assert vector(nets[0]).tobytes() == vector(nets[1]).tobytes()


def the_first_rank_alone_shows_progress():
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    before, sys.stderr = sys.stderr, terminal
    try:
        together(small(), epochs=9, progress=True)
    finally:
        sys.stderr = before
    assert ("/90 [" in terminal.getvalue()) is (RANK == 0), terminal.getvalue()


def patience_ends_all_with_the_best_weights():
    held = X[::-1][:30], (T[::-1][:30] + 1) % 3
    one, net = small(), small()
    options = {"epochs": 60, "patience": 2, "optimizer": Momentum(lr=0.2)}
    expected = alone(one, validation_data=held, **options)
    shard = slice(RANK, None, SIZE)
    history = together(net, validation_data=(held[0][shard], held[1][shard]), **options)
    assert history.best_epoch == expected.best_epoch and len(history.loss) == len(expected.loss) < 60
    np.testing.assert_allclose(vector(net), vector(one), **TO_ROUNDING)


def normalized(dtype):
    layers = Affine(np.ones((4, 3)), np.zeros(3)), BatchNormalization(np.ones(3), np.zeros(3)), Dropout(0.5), Relu()
    net = Sequential([*layers, Affine(np.eye(3), np.zeros(3))])
    net.params["W1"][...] = np.random.default_rng(3).standard_normal((4, 3))
    return net


def running_statistics_are_the_mean_of_all_rows():
    net = normalized(np.float32)
    means = [(X[a:b] @ net.params["W1"]).mean(axis=0) for a, b in itertools.pairwise(BOUNDS)]
    together(net, batch_size=N, optimizer=Momentum(lr=1e-9))
    expected = 0.1 * np.average(means, axis=0, weights=np.diff(BOUNDS))
    np.testing.assert_allclose(net.buffers["running_mean1"], expected, rtol=1e-9)
    assert_same_on_all(net.buffers["running_mean1"].tobytes(), vector(net).tobytes())


def running_statistics_are_the_same_on_all_after_steps_apart():
    for sync_every in (1, 4):
        nets = [normalized(np.float32) for _ in range(2)]
        for net in nets:
            together(net, epochs=3, sync_every=sync_every)
        buffers = [{name: buffer.tobytes() for name, buffer in net.buffers.items()} for net in nets]
        assert buffers[0] == buffers[1] and (nets[0].buffers["running_mean1"] != 0).all()
        assert_same_on_all(buffers[0], vector(nets[0]).tobytes())


def ranks_drop_other_units():
    """Of the same samples on all ranks, and a layer of which the gradient says what was dropped."""
    x, t = np.ones((SIZE, 8)), np.zeros((SIZE, 8))
    net = Sequential([Affine(np.eye(8), None), Dropout(0.5, seed=1)], loss="mse")
    net.fit(x[:1], t[:1], batch_size=SIZE, optimizer=fastbp.optimizers.SGD(lr=0.1), comm=COMM, progress=False)
    moved = np.diag(net.params["W1"]) < 1
    alike = Sequential([Affine(np.eye(8), None), Dropout(0.5, seed=1)], loss="mse")
    alike.fit(x[:1], t[:1], batch_size=1, optimizer=fastbp.optimizers.SGD(lr=0.1), progress=False)
    assert np.count_nonzero(moved) > np.count_nonzero(np.diag(alike.params["W1"]) < 1)


def layers_in_python_train_too():
    def made():
        W1, W2 = np.random.default_rng(3).standard_normal((2, 4, 4))
        return Sequential([Affine(W1, None), Linear(np.eye(4), np.zeros(4)), Affine(W2[:, :3].copy(), None)])

    one, net = made(), made()
    one._told_by_layers = net._told_by_layers = True
    np.testing.assert_allclose(together(net).loss, alone(one).loss, **TO_ROUNDING)
    np.testing.assert_allclose(vector(net), vector(one), **TO_ROUNDING)


def local_steps_end_in_the_mean():
    net, own = small(), small()
    together(net, sync_every=1000, shuffle=False)
    order = np.argsort(np.concatenate([(np.arange(n) + 0.5) / n for n in np.diff(BOUNDS)]), kind="stable")
    for batch in np.split(order, 10):
        rows = batch[(batch >= OWN.start) & (batch < OWN.stop)]
        if len(rows):
            own.step(X[rows], T[rows], "sgd")
    parts = COMM.allgather((vector(own), OWN.stop - OWN.start))
    expected = np.average([part for part, _ in parts], axis=0, weights=[rows for _, rows in parts])
    np.testing.assert_allclose(vector(net), expected, rtol=1e-9)
    runs = [small() for _ in range(2)]
    losses = [together(run, sync_every=3, epochs=4, optimizer="adam").loss for run in runs]
    assert losses[0] == losses[1] and losses[0][3] < losses[0][0]
    assert vector(runs[0]).tobytes() == vector(runs[1]).tobytes()
    assert_same_on_all(vector(runs[0]).tobytes())


def callbacks_may_be_on_one_rank_and_end_all():
    seen = []
    history = together(
        small(), epochs=9, callbacks=[lambda h: seen.append(h.state.step) or len(h.loss) == 2] if RANK == 1 else []
    )
    assert len(history.loss) == 2 and seen == ([10, 20] if RANK == 1 else [])


def a_run_goes_on_with_other_ranks():
    """Three ranks leave it in the middle of an epoch, two take it up."""
    options = {"epochs": 4, "optimizer": "adam"}
    path = Path(sys.argv[1]) / "three.safetensors"
    if not path.exists():
        net = small()
        history = together(net, max_steps=25, **options)
        if RANK == 0:
            net.save(path, state=history.state)
        return
    saved = fastbp.load_checkpoint(path)
    net, state = saved.net, saved.state
    history, one = together(net, resume=state, **options), small()
    np.testing.assert_allclose(history.loss, alone(one, **options).loss, **TO_ROUNDING)
    np.testing.assert_allclose(vector(net), vector(one), **TO_ROUNDING)


def what_differs_is_told_on_all():
    last = SIZE - 1
    other = int(last == RANK)
    for words, fit in {
        f"rank {last} has another seed than rank 0": lambda: together(small(), seed=other),
        f"rank {last} has another batch_size and another optimizer than": lambda: together(
            small(), batch_size=9 + other, optimizer=("sgd", "adam")[other]
        ),
        f"rank {last} has another vector of parameters than": lambda: together(small(seed=other)),
        f"rank {last} has another network and another": lambda: together(fastbp.mlp([4, 5 + other, 3], seed=0)),
        "x has 3 elements a sample": lambda: small().fit(X[:, : 4 - other], T, comm=COMM),
        "t[0] is 3": lambda: small().fit(X, T * 0 + 3 * other, comm=COMM),
        "validation_data[0] has 3 elements a sample": lambda: together(
            small(), validation_data=(X[:9, : 4 - other], T[:9])
        ),
        "t must hold real numbers": lambda: small().fit(X[OWN], T[OWN] if RANK == 0 else None, comm=COMM),
        "x must be this rank's shard of the samples, got None": lambda: small().fit(
            *((X, T) if RANK == 0 else (None, None)), comm=COMM
        ),
        "x must hold at least one sample": lambda: small().fit(*((X[:0], T[:0]) if other else (X, T)), comm=COMM),
        f"rank {last} has another validation part": lambda: together(
            small(), **({"validation_data": (X[:9], T[:9])} if other else {})
        ),
        f"rank {last} has another sync_every": lambda: together(small(), sync_every=1 + other),
        f"rank {last} has another patience": lambda: together(
            small(), validation_data=(X[:9], T[:9]), patience=1 + other
        ),
    }.items():
        error = raised(fit)
        assert isinstance(error, (ValueError, TypeError)) and words in str(error), (words, error)


def a_callback_that_raises_ends_all():
    def fails(history):
        raise KeyError("out of luck")

    error = raised(lambda: together(small(), epochs=5, callbacks=[fails] if RANK == 1 else []))
    assert isinstance(error, KeyError if RANK == 1 else RuntimeError)
    assert "out of luck" in str(error)
    net = small()
    error = raised(lambda: together(net, epochs=5, callbacks=[lambda h: net.params["b1"].fill(RANK)]))
    assert "has another vector of parameters" in str(error)


def a_loss_that_is_not_finite_ends_all_at_the_same_step():
    x = X.copy()
    x[BOUNDS[1], 2] = np.nan  # the first sample of rank 1
    for options in ({}, {"sync_every": 4}):
        net, one = small(), small()
        error = raised(lambda net=net, options=options: net.fit(x[OWN], T[OWN], comm=COMM, seed=5, **options))
        assert isinstance(error, FloatingPointError) and "on rank 1, x[0, 2] is nan" in str(error), error
        assert np.isfinite(vector(net)).all()
        assert_same_on_all(vector(net).tobytes(), str(error))
        if not options:
            expected = str(raised(lambda one=one: one.fit(x, T, seed=5)))
            assert expected.split(";")[0] == str(error).split(";")[0]
            np.testing.assert_allclose(vector(net), vector(one), **TO_ROUNDING)
    error = raised(lambda: together(small(np.float32), epochs=30, optimizer=Momentum(lr=1e30)))
    assert isinstance(error, FloatingPointError), error


def estimators_train_together():
    if SIZE > 2:
        return  # to import scikit-learn takes longer than all other checks
    from fastbp.sklearn import MLPClassifier, MLPRegressor

    more = {"hidden_layer_sizes": (7,), "random_state": 0, "dtype": "float64", "progress": False, "alpha": 0.1}

    def classifier(**options):
        return MLPClassifier(**more | {"max_iter": 10, "batch_size": 17} | options)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that so few epochs do not converge
        for weights in (None, WEIGHTS):
            one = classifier().fit(X, T, weights)
            net = classifier().fit(X[OWN], T[OWN], None if weights is None else weights[OWN], comm=COMM)
            np.testing.assert_allclose(net.loss_curve_, one.loss_curve_, **TO_ROUNDING)
            np.testing.assert_allclose(net.coefs_[0], one.coefs_[0], **TO_ROUNDING)
        net = classifier(early_stopping=True, shuffle=False, dropout=0.1).fit(X[OWN], T[OWN], comm=COMM)
        assert_same_on_all(net.validation_scores_, net.validation_loss_curve_, net.coefs_[1].tobytes())
        one, net = (MLPRegressor(solver="lbfgs", max_iter=8, **more) for _ in range(2))
        net.fit(X[OWN], WEIGHTS[OWN], comm=COMM)
        np.testing.assert_allclose(net.coefs_[0], one.fit(X, WEIGHTS).coefs_[0], rtol=1e-5, atol=1e-9)
    assert_same_on_all(net.coefs_[1].tobytes())
    error = raised(lambda: classifier().fit(X, np.minimum(T, 1 + (RANK == 0)), comm=COMM))
    assert "another list of classes than rank 0" in str(error), error
    error = raised(lambda: classifier(random_state=RANK).fit(X, T, comm=COMM))
    assert "rank 1 has another start by random_state" in str(error), error


def balanced_classes_of_estimators_are_those_of_all_ranks():
    from fastbp.sklearn import MLPClassifier

    options = {"hidden_layer_sizes": (5,), "random_state": 0, "dtype": "float64", "progress": False, "max_iter": 3}
    place = np.arange(N)
    rare = np.where(place % 9 == 0, 2, place % 5 < np.where(place < N // 2, 1, 4))  # shards have other shares of them
    several = np.stack([rare == 2, place < N // 5, rare == 0], axis=1).astype(int)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that so few epochs do not converge
        for labels, weights in ((np.array(["a", "b", "c"])[rare], WEIGHTS), (rare == 2, None), (several, None)):
            own = None if weights is None else weights[OWN]
            for solver in ("adam", "lbfgs") if SIZE == 2 else ("adam",):
                one, net = (MLPClassifier(solver=solver, class_weight="balanced", **options) for _ in range(2))
                net.fit(X[OWN], labels[OWN], own, comm=COMM)
                expected = one.fit(X, labels, weights).coefs_[0]
                np.testing.assert_allclose(net.coefs_[0], expected, rtol=1e-5, atol=1e-9)
                assert_same_on_all(net.coefs_[0].tobytes())


def the_script_of_the_pages_trains():
    os.chdir(sys.argv[1])
    ended = runpy.run_path(str(Path(__file__).parents[1] / "docs" / "on_ranks.py"))
    digits, comm = ended["digits"], ended["comm"]
    assert ended["net"].accuracy(digits.x_test, digits.t_test) > 0.9
    comm.Barrier()  # the first rank has written
    assert fastbp.load_checkpoint("digits.safetensors").state.step == 20 * -(-len(digits.x_train) // 64)


def run_checks(module):
    """Run the functions without arguments that the main module defines; one that fails ends all ranks."""
    for check in [value for value in list(module.values()) if getattr(value, "__module__", "") == "__main__"]:
        if check.__name__[0].islower() and check.__code__.co_argcount == 0:
            try:
                check()
            except BaseException:
                print(f"FAILED {check.__name__} on rank {RANK} of {SIZE}\n{traceback.format_exc()}", flush=True)
                COMM.Abort(1)
    print("passed", flush=True)


if __name__ == "__main__":
    run_checks(globals())
