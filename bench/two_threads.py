"""Whether all cores are ever slower than one: steps of networks in many processes, one after the other.

Where a process finds its memory, which core it starts on and how its threads wake up differ from process to process; a
median within one process hides it. ``python -m fastbp.bench.two_threads`` prints the worst.
"""

import statistics
import sys
import time

from tqdm import tqdm

from .bench_step import NETWORKS
from .networks import Perceptron
from .peers.fastbp import networks as ours
from .servers import SETTLE, Server, all_cores, finish, make, take_turn, warm_up

PROCESSES, TURNS, SECONDS = 20, 3, 0.02
SLOWER = 1.02  # above what two medians of the same thing differ by


def seconds_of(network: Perceptron, one: Server, all_: Server) -> tuple[float, float]:
    """Of a step in two processes, with one thread and with all, in turns."""
    clock = time.perf_counter
    for server in (one, all_):
        made = server.ask(make, "fastbp", ours.steps, (network,))
        if made.problem:
            raise RuntimeError(made.problem)
        server.ask(warm_up, "fastbp", SECONDS, clock, SETTLE)
    turns = [(one.ask(take_turn, "fastbp"), all_.ask(take_turn, "fastbp")) for _ in range(TURNS)]
    for server in (one, all_):
        server.ask(finish, "fastbp")
    return statistics.median(a for a, _ in turns), statistics.median(b for _, b in turns)


def main() -> int:
    """Print a line for each network; return 1 where all cores took longer than one."""
    threads = all_cores()
    times: dict[Perceptron, list[tuple[float, float]]] = {network: [] for network in NETWORKS}
    for _ in tqdm(range(PROCESSES), disable=None):
        one, all_ = Server(1), Server(threads)
        try:
            for network, found in times.items():
                found.append(seconds_of(network, one, all_))
        finally:
            one.stop()
            all_.stop()
    print(
        f"{PROCESSES} processes, one thread and {threads}: a step in us, median (worst); one thread's time over all's"
    )
    slower = False
    for network, found in times.items():
        alone, shared = zip(*found, strict=True)
        ratios = [a / b for a, b in found]
        slower |= min(ratios) < 1 / SLOWER
        print(
            f"{network.name:44} {1e6 * statistics.median(alone):9.2f} ({1e6 * max(alone):9.2f})"
            f" {1e6 * statistics.median(shared):9.2f} ({1e6 * max(shared):9.2f})"
            f"   {statistics.median(ratios):.2f} ({min(ratios):.2f})"
        )
    return int(slower)


if __name__ == "__main__":
    sys.exit(main())
