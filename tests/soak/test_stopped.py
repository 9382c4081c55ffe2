"""Stopped at any moment: by Ctrl-C, which ``fit`` hears soon and between two steps, and by kill -9 while saving."""

import json
import sys

import pytest
from isolation import isolated

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="for POSIX")

INTERRUPTED = """
import hashlib, json, os, random, signal, sys, threading, time
import numpy as np
import fastbp

signal.signal(signal.SIGINT, signal.default_int_handler)
times, longest, most, draw = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), random.Random(0)
rng = np.random.default_rng(0)

class Double(fastbp.Layer):
    def forward(self, x):
        return 2 * x
    def backward(self, dout):
        return 2 * dout

def mlp(*sizes, own=False, **options):
    net = fastbp.mlp(sizes, seed=0, **options)
    return fastbp.Sequential([*net.layers.values(), Double()]) if own else net

def data(n, columns, classes):
    return rng.random((n, columns), dtype=np.float32), rng.integers(0, classes, n)

KINDS = [  # sizes, options of the network, samples, options of fit: a step of each takes less than 50 ms
    ((300, 100, 10), {}, 5000, {"batch_size": 1000}),
    ((300, 100, 10), {}, 5000, {"batch_size": 1000, "threads": 2}),
    ((20, 30, 5), {"normalization": "batch"}, 1000, {"optimizer": "adam", "validation_split": 0.2}),
    ((20, 30, 5), {"own": True}, 1000, {"optimizer": "momentum", "batch_size": 50}),
]

def bits(net):
    return hashlib.sha256(b"".join(a.tobytes() for a in (net.params | net._binding().buffers).values())).hexdigest()

def after_each_step(sizes, options, x, t, settings, most):
    # What a run may leave behind: what its network is after a whole number of steps.
    net, state, found = mlp(*sizes, **options), None, set()
    found.add(bits(net))
    for step in range(1, most):
        state = net.fit(x, t, max_steps=step, resume=state, **settings).state
        found.add(bits(net))
    return found

waits, torn, dead = [], 0, 0
for number, (sizes, options, n, settings) in enumerate(KINDS):
    x, t = data(n, sizes[0], sizes[-1])
    settings = {"epochs": 10**6, "seed": 1, "progress": False} | settings
    # Small networks may do more steps than can be looked at: theirs are looked at for being finite alone.
    whole = after_each_step(sizes, options, x, t, settings, most if number < 2 else 2)
    for _ in range(-(-times // len(KINDS))):
        net, sent = mlp(*sizes, **options), []
        delay = draw.uniform(0, longest)

        def interrupt():
            time.sleep(delay)
            sent.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        late = None
        try:
            thread.start()
            net.fit(x, t, **settings)
        except KeyboardInterrupt:
            waits.append(time.monotonic() - sent[0])
        thread.join()
        now = bits(net)
        torn += now not in whole and number < 2
        history = net.fit(x, t, **settings | {"epochs": 1})
        dead += not np.isfinite(history.loss).all() or bits(net) == now
        net.predict(x), net.step(x, t)
waits.sort()
print(json.dumps({"heard": len(waits), "torn": torn, "dead": dead, "p50": waits[len(waits) // 2],
                  "p99": waits[int(0.99 * len(waits))], "most": waits[-1]}))
"""


def interrupted(times, longest, steps):
    """What came of so many interrupts, each after at most ``longest`` seconds, in which a run does fewer ``steps``."""
    found = json.loads(isolated(INTERRUPTED, times, longest, steps, seconds=3600))
    assert found["heard"] >= times
    assert found["torn"] == 0, "the parameters are not those after a whole step"
    assert found["dead"] == 0
    return found


def test_an_interrupted_fit_stops_between_two_steps_and_can_go_on():
    interrupted(8, 0.02, 150)


@pytest.mark.soak
def test_an_interrupt_is_heard_within_a_fifth_of_a_second(record_property):
    found = interrupted(200, 0.12, 1000)
    record_property("seconds", found)
    print(found)
    assert found["p99"] < 0.2


# The child says which checkpoint is done after each; the one that is found may be the next already.
KILLED = """
import json, os, random, select, signal, sys, time, warnings
import numpy as np
import fastbp

warnings.simplefilter("ignore")
times, folder, draw = int(sys.argv[1]), sys.argv[2], random.Random(0)
path = os.path.join(folder, "model")
x, t = np.random.default_rng(0).random((60, 40), dtype=np.float32), np.arange(60) % 3
net = fastbp.mlp([40, 100, 3], seed=0)
state = net.fit(x, t, seed=0, optimizer="adam", progress=False, threads=1).state
net.save(path, state=state)

def child(pipe):
    checkpoint = fastbp.load_checkpoint(path)
    net, state = checkpoint.net, checkpoint.state
    while True:
        state = net.fit(x, t, epochs=10**6, max_steps=state.step + 1, optimizer="adam", progress=False, threads=1,
                        resume=state).state
        net.save(path, state=state)
        os.write(pipe, b"%d\\n" % state.step)

saved, lost, left = state.step, 0, 0
for _ in range(times):
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reading)
        child(writing)
    os.close(writing)
    while not select.select([reading], [], [], 60)[0]:
        raise SystemExit("nothing is saved")
    time.sleep(draw.uniform(0, 0.01))
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    said = b""
    while piece := os.read(reading, 1 << 16):
        said += piece
    os.close(reading)
    checkpoint = fastbp.load_checkpoint(path)  # raises for anything that is not whole
    last = int(said.split(b"\\n")[-2])
    lost += not last <= checkpoint.state.step <= last + 1
    assert checkpoint.state.parameters.tobytes() == checkpoint.net._binding().vector.tobytes()
    saved = checkpoint.state.step
    left += len(os.listdir(folder)) > 1
checkpoint.net.save(path, state=checkpoint.state)
print(json.dumps({"lost": lost, "left": left, "files": os.listdir(folder), "step": saved}))
"""


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="no fork here")
@pytest.mark.parametrize("times", [10, pytest.param(500, marks=pytest.mark.soak)])
def test_a_checkpoint_is_whole_whenever_its_writer_is_killed(tmp_path, times):
    found = json.loads(isolated(KILLED, times, tmp_path, seconds=3600))
    assert found["lost"] == 0
    assert found["files"] == ["model"], "what killed writers left is gone"
    assert found["step"] > times
