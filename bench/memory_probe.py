"""Train for a few steps in a fresh process, and print the bytes by which its peak of memory grew.

python -m fastbp.bench.memory_probe fastbp
"""

import sys
from pathlib import Path

from .networks import Perceptron
from .peers import FORMS

NETWORK = Perceptron((1024, 1024, 1024, 1024), 1024)


def peak_bytes() -> int:
    """Of this process; on Linux from its status, as ``ru_maxrss`` starts from that of the process that started it."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource  # which Windows does not have

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main(provider: str) -> None:
    """Print by how many bytes three steps of ``provider`` raise the peak of this process."""
    form = FORMS[provider]
    exec(form.peer.imports)
    forget_peak()
    before = peak_bytes()
    work = form.makers["step"](NETWORK)
    for _ in range(3):
        work.call()
    print(peak_bytes() - before)


def forget_peak() -> None:
    """Let the peak start anew from what is in use, where the system can: imports have theirs too."""
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5")


if __name__ == "__main__":
    main(*sys.argv[1:])
