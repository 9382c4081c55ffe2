"""Processes with their own fastbp, cache and fate."""

import json
import os
import subprocess
import sys
from pathlib import Path

import fastbp

# A small network after two steps, and whether any of it took compiling: the same bits from every process.
TRAINED = """
import hashlib, json, sys, warnings
import numpy as np
from numba.core import event
warnings.simplefilter("error")
recorder = event.RecordingListener()
event.register("numba:compile", recorder)
import fastbp
net = fastbp.mlp([4, 6, 3], seed=0)
x, t = np.arange(40, dtype=np.float32).reshape(10, 4) / 40, np.arange(10) % 3
net.fit(x, t, epochs=2, batch_size=5, seed=0, threads=1, progress=False)
bits = hashlib.sha256(b"".join(np.ascontiguousarray(p).tobytes() for p in net.params.values())).hexdigest()
print(json.dumps({"bits": bits, "compiled": len(recorder.buffer)}))
"""
SIGMOID = """
import json, warnings
import numpy as np
warnings.simplefilter("error")
import fastbp
print(json.dumps(float(fastbp.Sigmoid().forward(np.zeros((1, 1)))[0, 0])))
"""

SMALL = """
import json, sys, warnings
import numpy as np
warnings.simplefilter("error")
sys.path.insert(0, sys.argv[1])
import small
print(json.dumps(small.doubled(np.arange(5.0))))
"""
KERNEL = """
from fastbp.kernels._jit import kernel

@kernel
def doubled(x):
    total = 0.0
    for i in range(x.size):
        total += 2 * x[i]
    return total
"""


def small(folder: Path) -> str:
    """Put a module with one kernel into ``folder``, for SMALL, which is compiled in no time and whose answer is 20."""
    (folder / "small.py").write_text(KERNEL)
    return str(folder)


def started(code: str, *arguments: object, root: Path | None = None, **environment: object) -> subprocess.Popen:
    """A process that runs ``code`` with the fastbp of ``root``; a variable that is None is taken out."""
    path = str(root or Path(fastbp.__file__).parents[1])
    settings = os.environ | {"PYTHONPATH": path, "NUMBA_NUM_THREADS": "1"} | environment
    return subprocess.Popen(
        [sys.executable, "-X", "faulthandler", "-c", code, *map(str, arguments)],
        cwd=root,
        env={name: str(value) for name, value in settings.items() if value is not None},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def answer(process: subprocess.Popen, seconds: float = 3000):
    """What a process prints as JSON; nothing else may be said, and its exit code is 0."""
    try:
        out, errors = process.communicate(timeout=seconds)
    finally:
        process.kill()
    assert (process.returncode, errors) == (0, ""), f"ended with {process.returncode}: {errors[-3000:]}"
    return json.loads(out.splitlines()[-1])
