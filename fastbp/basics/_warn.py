"""Warnings that point at the user's line, however many calls lie between."""

import sys
import warnings

OURS = "fastbp", "sklearn"


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn of what the nearest caller outside of fastbp, and of scikit-learn, which stands between, has asked for."""
    frame, level = sys._getframe(), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in OURS:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
