"""How many steps are done between two looks of Python at a run."""

CHUNK_SECONDS = 0.05  # between two looks: progress, callbacks and Ctrl-C wait that long


class Pace:
    """Steps in chunks of about CHUNK_SECONDS.

    Attributes
    ----------
    steps : to be done next; fewer where there are fewer left
    """

    def __init__(self) -> None:
        self.steps = 1

    def took(self, seconds: float, steps: int) -> None:
        """Learn how long so many steps took."""
        self.steps = max(1, min(8 * self.steps, int(steps * CHUNK_SECONDS / max(seconds, 1e-9))))
