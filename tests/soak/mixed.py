"""Many Python threads that use fastbp in every way: ``python mixed.py SECONDS THREADS`` prints what came of it.

Each call's result is compared, bit by bit, with that of one thread before. As JSON: how many calls of each kind, those
that gave anything else, how many MiB the process has more at the end than after a quarter of the time, and the threads
that are left.
"""

import gc
import json
import os
import random
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

import fastbp
from fastbp import activations, layers

N = 64
EARLY = 20  # calls of each thread
SIZES = (20, 30, 5)


def data(dtype=np.float32, n=N):
    rng = np.random.default_rng(0)
    return rng.random((n, SIZES[0])).astype(dtype), rng.integers(0, SIZES[-1], n)


def bits(*arrays):
    return b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)


def of_layer(cls, dtype):
    """One pass through a layer of its own."""
    x, _ = data(dtype)

    def call():
        layer = cls.of_width(SIZES[0], np.dtype(dtype)) if cls in layers.CLASSES else cls()
        if isinstance(layer, fastbp.Dropout):
            layer = fastbp.Dropout(0.5, seed=1)
        return bits(layer.forward(x), layer.backward(x))

    return call


def fitted(threads, **options):
    """A training of a network of its own."""
    x, t = data()

    def call():
        net = fastbp.mlp(SIZES, normalization="batch", seed=0)
        history = net.fit(x, t, epochs=2, batch_size=20, seed=1, threads=threads, progress=False, **options)
        return bits(*net.params.values(), np.array(history.loss))

    return call


def works(folder):
    """The calls by name; all may be made by any thread at any time."""
    net = fastbp.mlp(SIZES, "tanh", seed=0)
    x, t = data()
    net.fit(x, t, seed=0, progress=False)
    net.save(folder / "model")
    frozen = fastbp.mlp(SIZES, "gelu", seed=1)
    rng = np.random.default_rng(0)
    large = rng.random((300, 200)).astype(np.float32)
    product = fastbp.Affine(large.T.copy(), np.zeros(300, np.float32))

    def save_and_load():
        path = folder / f"own{threading.get_ident()}"
        net.save(path)
        return bits(*fastbp.load(path).params.values())

    def refused():
        said = []
        for wrong in (lambda: frozen.predict(x[:, 1:]), lambda: net.fit(x, t[1:]), lambda: frozen.gradient(x, t + 9)):
            try:
                wrong()
            except ValueError as error:
                said.append(str(error))
        return "".join(said).encode()

    def step():
        own = fastbp.mlp(SIZES, seed=0)
        losses = [own.step(x[:n], t[:n]) for n in (5, 64, 5)]
        return bits(np.array(losses), *own.params.values())

    found = {
        "predict one": lambda: bits(frozen.predict(x[0])),
        "predict": lambda: bits(frozen.predict(x)),
        "gradient": lambda: bits(*frozen.gradient(x, t).values()),
        "load": lambda: bits(*fastbp.load(folder / "model").params.values()),
        "save and load": save_and_load,
        "refused": refused,
        "step": step,
        "product": lambda: bits(product.forward(large)),
        "fit": fitted(1),
        "fit with Adam, three threads": fitted(3, optimizer="adam"),
        "fit with validation": fitted(2, validation_split=0.25, patience=1),
    }
    for dtype in (np.float32, np.float64):
        for cls in (*layers.CLASSES, *activations.CLASSES):
            found[f"{cls.__name__} {dtype.__name__}"] = of_layer(cls, dtype)
    return found


def resident():
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def main(seconds, n_threads):
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as name:
        calls = works(Path(name))
        expected = {work: call() for work, call in calls.items()}
        again = {work: call() for work, call in calls.items()}
        assert again == expected
        counts, wrong, stopped, progress = Counter(), [], threading.Event(), [0] * n_threads
        before = threading.active_count()

        def work(seed):
            draw, own = random.Random(seed), Counter()
            names = list(calls)
            if seed % 2:
                fastbp.set_num_threads(1 + seed % 3)
            while not stopped.is_set() and len(wrong) < 10:
                name = draw.choice(names[:11] if draw.random() < 0.5 else names)
                try:
                    if calls[name]() != expected[name]:
                        wrong.append(f"{name}: other numbers")
                except BaseException as error:
                    wrong.append(f"{name}: {error!r}")
                own[name] += 1
                progress[seed] += 1
            counts.update(own)

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(n_threads)]
        for thread in threads:
            thread.start()
        time.sleep(seconds / 4)
        while min(progress) < EARLY and len(wrong) < 10:  # each has memory of its own by then
            time.sleep(0.1)
        early = resident()
        time.sleep(3 * seconds / 4)
        stopped.set()
        for thread in threads:
            thread.join()
        gc.collect()
        for _ in range(600):  # a thread's team ends after it
            if threading.active_count() <= before:
                break
            time.sleep(0.1)
        left = threading.active_count() - before
    return {
        "calls": sum(counts.values()),
        "kinds": len(counts),
        "wrong": wrong,
        "grown": resident() - early,
        "left": left,
    }


if __name__ == "__main__":
    sys.setswitchinterval(1e-5)
    print(json.dumps(main(float(sys.argv[1]), int(sys.argv[2]))))
