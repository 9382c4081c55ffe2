"""Draw the pictures of the page: each script of this folder is run, and what it shows is kept beside it.

FASTBP_DATA_DIR=... python docs/book/draw.py [script ...]
"""

import sys
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt

HERE = Path(__file__).parent


def drawn(script: Path) -> None:
    """Run a script; its picture goes into a file of its name."""
    plt.close("all")
    plt.show = lambda: plt.savefig(script.with_suffix(".svg"), metadata={"Date": None}, bbox_inches="tight")
    exec(compile(script.read_text("utf-8"), script.name, "exec"), {"__name__": script.stem})


if __name__ == "__main__":
    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "fastbp"  # the same picture, the same file
    matplotlib.rcParams["svg.fonttype"] = "none"
    names = sys.argv[1:] or [
        path.stem for path in sorted(HERE.glob("ch*.py")) if "plt.show()" in path.read_text("utf-8")
    ]
    for name in names:
        print(f"--- {name}")
        drawn(HERE / f"{name}.py")
