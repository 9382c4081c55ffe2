"""Packages that only a part of fastbp needs, and that come with an extra."""

import importlib
from typing import Any


def needed(module: str, extra: str) -> Any:
    """Return ``module``, imported; ImportError that names the ``extra`` it comes with if it is not installed."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != module.partition(".")[0]:
            raise  # it is there, and lacks something of its own
        package = module.partition(".")[0]
        raise ImportError(f"this needs {package}, which is not installed: pip install 'fastbp[{extra}]'") from None
