"""How much memory a training run takes beyond the imports, beside its parameters and activations.

Times are those of whole processes and mean little here.
"""

import subprocess
import sys
from functools import partial

import numpy as np

from .memory_probe import NETWORK
from .peers import FORMS
from .row import Expected, Row, Unsuitable, Work, rows
from .servers import all_cores


def memory_of(provider: str, network: str) -> Work:
    if sys.platform == "win32":
        raise Unsuitable("the system does not tell a process its peak")
    printed: list[int] = []

    def call() -> None:
        command = [sys.executable, "-m", f"{__package__}.memory_probe", provider]
        printed.append(int(subprocess.run(command, check=True, capture_output=True, text=True).stdout))

    def facts() -> dict[str, object]:
        needed = NETWORK.parameter_bytes + NETWORK.activation_bytes
        return {"bytes": int(np.median(printed)), "needed_bytes": needed}

    return Work(call, lambda: [np.zeros(0)], facts=facts)


def nothing(network: str) -> Expected:
    """What the steps come to is checked where they are timed."""
    return [(np.zeros(0), 1.0)]


PROVIDERS = {
    name: partial(memory_of, name) for name, form in FORMS.items() if form.peer.imports and "step" in form.makers
}


@rows([Row("memory", NETWORK.name, (NETWORK.name,), threads=all_cores(), quick=False, figure="bytes")], PROVIDERS)
def bench_memory(measure, row, provider):
    measure(nothing)
