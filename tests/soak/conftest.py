"""Long forms of what other tests try a little of: ``pytest -m soak tests/soak``, and short forms for every check."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "kernels"))  # what the tests of kernels share
