"""One small kernel in a file of its own, loaded again and again, and its cache."""

import importlib.util

import numpy as np
from numba.core import event

VICTIM = """
from fastbp.kernels._jit import kernel

@kernel
def weighted(x, y):
    total = 0.0
    for i in range(x.size):
        total += WEIGHT * x[i] * y[i]
    return total
"""


class Victim:
    """A kernel in a file of its own; each call loads it anew, as another process would."""

    def __init__(self, folder):
        self.cache = folder / "cache"
        self._file = folder / "victim.py"
        self._recorder = event.RecordingListener()
        self.write(3)

    def write(self, weight):
        self._weight = weight
        self._file.write_text(VICTIM.replace("WEIGHT", f"{weight:.1f}"))

    def __call__(self):
        """Whether the answer is right, and whether it took compiling."""
        spec = importlib.util.spec_from_file_location("victim", self._file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        x = np.arange(5.0)
        self._recorder.buffer.clear()
        event.register("numba:compile", self._recorder)
        try:
            return module.weighted(x, x) == 30 * self._weight, bool(self._recorder.buffer)
        finally:
            event.unregister("numba:compile", self._recorder)

    def files(self):
        """What the cache holds: the index (.nbi), and the machine code (.nbc)."""
        return {file: file.read_bytes() for file in sorted(self.cache.rglob("*.nb?"))}

    def damaged(self, suffix, change):
        """The answer after ``change(bytes)`` on files with the suffix, the others whole."""
        kept = self.files()
        try:
            for file, content in kept.items():
                if file.suffix == suffix:
                    file.write_bytes(change(content))
            return self()
        finally:
            for file in self.files():
                file.unlink()
            for file, content in kept.items():
                file.write_bytes(content)
