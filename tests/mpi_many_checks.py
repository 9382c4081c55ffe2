"""What ranks check of networks that are dealt out to them: mpiexec -n P python mpi_many_checks.py FOLDER."""

import copy
import io
import itertools
import os
import runpy
import signal
import sys
import time
from pathlib import Path

import numpy as np
from mpi4py import MPI
from mpi_checks import COMM, RANK, SIZE, assert_same_on_all, raised, run_checks, vector
from small_nets import examples

from fastbp import fit_groups, fit_many, load, mlp
from fastbp.optimizers import SGD, Adam
from fastbp.training import _ranks

N = 60
X, T = examples(N, np.float32)
LAST = SIZE - 1
FOREVER = 10**9
DIVERGES = SGD(1e30)


def several(n=7):
    """Networks of different sizes, layers and types."""
    kinds = {"normalization": "batch"}, {"dropout": 0.3}, {}, {"dtype": np.float64}
    return [mlp([4, 3 + 5 * (k % 4), 3], seed=k, **kinds[k % 4]) for k in range(n)]


def alike(n=4):
    return [mlp([4, 5, 3], seed=k) for k in range(n)]


def told(nets, histories):
    """What training has come to, the same wherever bits are."""
    states = [vars(h.state) | {"history": None} if h else None for h in histories]
    lists = [(h.loss, h.val_loss, h.val_accuracy, h.best_epoch, len(h.seconds)) if h else None for h in histories]
    buffers = [{name: buffer.tobytes() for name, buffer in net.buffers.items()} for net in nets]
    return [vector(net).tobytes() for net in nets], buffers, lists, repr(states)


def all_end_with_what_one_process_comes_to():
    rng = np.random.default_rng(0)
    options = {
        "rows": [None, *(rng.integers(0, N, 10 * k) for k in range(1, 7))],
        "validation_rows": [np.arange(k, N, 7) for k in range(7)],
        "optimizers": ["sgd", Adam(lr=0.05), "momentum", "adam", SGD(0.1, weight_decay=0.01), "rmsprop", "adagrad"],
        "epochs": [3, 30, 1, 0, 5, 4, 9],
        "batch_sizes": [32, 7, 100, 8, 1, 16, 5],
        "seeds": range(7),
        "shuffle": [True, True, False, True, True, True, False],
        "clip_norm": [None, 1.0, None, None, 0.5, None, None],
        "patience": [None, 1, 2, None, None, 1, 3],
        "max_steps": [None, 40, None, None, 2, None, None],
        "sample_weight": rng.random(N),
    }
    for n, threads, parcel in ((7, None, 1 << 24), (7, 2, 5000), (7, 1, 1), (1, 1, 1), (2, 1, 1), (0, 1, 1)):
        _ranks.PARCEL = parcel
        ours = {name: value[:n] if name != "sample_weight" else value for name, value in options.items()}
        one, nets = several(n), several(n)
        expected = told(one, fit_many(one, X, T, **ours))
        histories = fit_many(nets, X, T, **ours, threads=threads, comm=COMM)
        assert told(nets, histories) == expected
        assert_same_on_all([history.seconds for history in histories])
    nets = alike()
    states = [history.state for history in fit_many(nets, X, T, seeds=1, epochs=2, comm=COMM)]
    again = fit_many(nets, X, T, seeds=1, epochs=5, resume=states, comm=COMM)
    whole = alike()
    assert told(whole, fit_many(whole, X, T, seeds=1, epochs=5)) == told(nets, again)
    fit_many(nets, X, T, comm=COMM)  # each with a seed that is drawn where it is trained
    assert_same_on_all([vector(net).tobytes() for net in nets])


def groups_are_dealt_out_too():
    shops = np.array(["west", "north", "south"])[np.arange(N) % 3]

    def fitted(**options):
        nets = fit_groups(lambda shop: mlp([4, 5, 3], seed=len(shop)), X, T, shops, epochs=3, seeds=1, **options)
        return list(nets), told(nets.values(), list(nets.histories.values()))

    assert fitted(comm=COMM, validation_data=(X, T)) == fitted(validation_data=(X, T))
    own = np.where(shops == "west", f"west {RANK}", shops)
    error = raised(lambda: fit_groups(lambda shop: mlp([4, 5, 3], seed=0), X, T, own, comm=COMM))
    assert "rank 1 has another list of groups than rank 0" in str(error), error
    error = raised(lambda: fit_groups(lambda shop: mlp([4, 5, 3], seed=RANK), X, T, shops, comm=COMM))
    assert "rank 1 has another vector of parameters than rank 0" in str(error), error


def callbacks_are_called_where_a_network_is_trained():
    heard = []

    def hear(k, history):
        heard.append((k, len(history.loss)))
        return k == len(history.loss)

    for threads in (1, 2):
        heard.clear()
        histories = fit_many(alike(5), X, T, epochs=3, callbacks=[hear], threads=threads, comm=COMM)
        assert [len(history.loss) for history in histories] == [3, 1, 2, 3, 3]
        everywhere = COMM.allgather(heard)
        assert sorted(itertools.chain(*everywhere)) == [
            (k, e + 1) for k in range(5) for e in range(len(histories[k].loss))
        ]
        assert all(len({k for k, _ in own}) in (5 // SIZE, 5 // SIZE + 1) for own in everywhere)


def one_that_diverges_is_named_on_all():
    for threads in (1, 2):
        nets, one = alike(), alike()
        options = {"optimizers": ["sgd", DIVERGES, "sgd", DIVERGES], "epochs": 5, "seeds": 1}
        expected = raised(lambda one=one, options=options: fit_many(one, X, T, **options))
        ours = options | {"threads": threads, "comm": COMM}
        error = raised(lambda nets=nets, ours=ours: fit_many(nets, X, T, **ours))
        assert type(error) is FloatingPointError and str(error) == str(expected)
        assert [vector(net).tobytes() for net in nets] == [vector(net).tobytes() for net in one]
        kept = fit_many(alike(), X, T, errors="keep", **ours)
        assert [type(one).__name__ for one in kept] == ["History", "FloatingPointError"] * 2


def what_a_callback_raises_all_raise_when_the_others_are_done():
    owners = []

    def fail(k, history):
        if k == 1:
            owners.append(RANK)
            raise KeyError("mine")

    nets, whole = alike(), alike()
    fit_many(whole, X, T, epochs=3, seeds=1)
    error = raised(lambda: fit_many(nets, X, T, epochs=3, seeds=1, callbacks=[fail], comm=COMM, errors="keep"))
    owner = max(COMM.allgather(RANK if owners else -1))
    assert isinstance(error, KeyError if owners else RuntimeError), error
    assert "mine" in str(error) and (owners or f"rank {owner} has ended with KeyError" in str(error))
    for k in (0, 2, 3):
        assert vector(nets[k]).tobytes() == vector(whole[k]).tobytes()


def an_interrupt_of_one_rank_ends_all():
    begun = []

    def interrupt(k, history):
        if RANK == LAST and not begun:
            begun.append(k)
            os.kill(os.getpid(), signal.SIGINT)

    for n, threads in ((SIZE, 1), (2 * SIZE, 1), (2 * SIZE, 2)):  # the first is trained by the calling thread
        begun.clear()
        nets = alike(n)
        ended = None
        begin = time.monotonic()
        try:
            fit_many(nets, X, T, epochs=FOREVER, callbacks=[interrupt], threads=threads, comm=COMM)
        except (KeyboardInterrupt, RuntimeError) as error:
            ended = error
        assert time.monotonic() - begin < 60
        if RANK == LAST:
            assert type(ended) is KeyboardInterrupt
        else:
            assert str(ended).startswith(f"rank {LAST} has ended with KeyboardInterrupt"), ended
        fit_many(nets, X, T, seeds=1)  # all can be trained again
    # Also that of one which waits for the others.
    alarm = signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    if RANK == LAST:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
    ended = None
    try:
        fit_many(alike(1), X, T, epochs=FOREVER, comm=COMM)
    except (KeyboardInterrupt, RuntimeError) as error:
        ended = error
    assert type(ended) is (KeyboardInterrupt if RANK == LAST else RuntimeError), ended
    signal.signal(signal.SIGALRM, alarm)
    assert_same_on_all("all go on")


def what_differs_is_told_on_all():
    other = int(RANK == LAST)
    held = X[:9], T[:9]
    for words, changed in {
        "list of networks": {"nets": alike(4 + other)},
        "vector of parameters": {"nets": [mlp([4, 5, 3], seed=other)]},
        "network": {"nets": [mlp([4, 5, 3], ["relu", "tanh"][other], seed=1)]},
        "scale": {"nets": [mlp([4, 5, 3], seed=1, scale=1.0 + other)]},
        "x": {"x": X + other},
        "t": {"t": (T + other) % 3},
        "sample_weight": {"sample_weight": np.full(N, 1.0 + other)},
        "list of rows": {"rows": [1, 2, 3 + other]},
        "validation part": {"validation_data": (held[0] + other, held[1])},
        "list of optimizers": {"optimizers": ["sgd", "adam"][other]},
        "list of epochs": {"epochs": 1 + other},
        "list of batch_sizes": {"batch_sizes": 1 + other},
        "list of seeds": {"seeds": [1, 2, 3, 4 + other]},
        "list of shuffle": {"shuffle": other == 0},
        "list of clip_norm": {"clip_norm": 1.0 + other},
        "list of patience": {"patience": 1 + other, "validation_data": held},
        "list of max_steps": {"max_steps": 1 + other},
        "errors": {"errors": ["raise", "keep"][other]},
    }.items():
        call = {"nets": alike(), "x": X, "t": T, "comm": COMM} | changed
        before = [vector(net).tobytes() for net in call["nets"]]
        error = raised(lambda call=call: fit_many(**call))
        expected = f"rank {LAST} has another {words}"
        assert isinstance(error, ValueError) and expected in str(error), (expected, error)
        assert [vector(net).tobytes() for net in call["nets"]] == before
    for words, changed in {
        "nets[0]: x has 3 elements a sample": {"x": X[:, : 4 - other]},
        "nets[0]: t[0] is 3": {"t": T * 0 + 3 * other},
        "nets[2]: epochs must be an integer of at least 0": {"epochs": [1, 1, -other, 1]},
        "x must hold real numbers": {"x": None if other else X},
    }.items():
        error = raised(lambda changed=changed: fit_many(**{"nets": alike(), "x": X, "t": T, "comm": COMM} | changed))
        assert isinstance(error, (ValueError, TypeError)) and words in str(error), (words, error)
        assert other or str(error).startswith(f"on rank {LAST}: ")


def what_is_no_communicator_of_several_is_refused():
    for comm, words in ((7, "comm must be a communicator of mpi4py"), (MPI.COMM_SELF, "two ranks or more, got one")):
        error = raised(lambda comm=comm: fit_many(alike(), X, T, comm=comm))
        assert words in str(error), error


def the_first_rank_shows_the_steps_of_all():
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    before, sys.stderr = sys.stderr, terminal
    try:
        for progress in (True, False):
            terminal.truncate(0)
            fit_many(
                copy.deepcopy(alike(2 * SIZE)),
                X,
                T,
                epochs=[1] * (2 * SIZE - 1) + [2000],
                batch_sizes=30,
                progress=progress,
                callbacks=[lambda k, history: time.sleep(1e-4)],
                comm=COMM,
            )
            total = 2 * (2 * SIZE - 1 + 2000)
            assert (f"/{total} [" in terminal.getvalue()) is (progress and RANK == 0), terminal.getvalue()
    finally:
        sys.stderr = before


def the_script_of_the_pages_trains():
    os.chdir(sys.argv[1])
    ended = runpy.run_path(str(Path(__file__).parents[1] / "docs" / "many_on_ranks.py"))
    COMM.Barrier()  # the first rank has written
    best = load("best.safetensors")
    assert vector(best).tobytes() == vector(ended["nets"][ended["best"]]).tobytes()
    assert_same_on_all(ended["best"], [history.val_loss for history in ended["histories"]])


if __name__ == "__main__":
    run_checks(globals())
