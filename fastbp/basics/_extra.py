"""Packages that only a part of fastbp needs, which come with an extra, and how to install it where fastbp is from."""

import importlib
import importlib.metadata
import json
import os
import shlex
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[1]


def import_extra(module: str, extra: str) -> Any:
    """Return ``module``, imported; ImportError that names the ``extra`` it comes with if it is not installed."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if (error.name or "").partition(".")[0] != package:
            raise  # it is there, and lacks something of its own
        raise ImportError(f"this needs {package}, which is not installed: {install(extra)}") from None


def install(extra: str) -> str:
    """The command that installs the ``extra`` from where this fastbp came from, to be typed in any folder."""
    editable, place = _origin()
    if place is None:
        requirement = f"fastbp[{extra}]"
    elif "://" in place:
        requirement = f"fastbp[{extra}] @ {place}"
    else:
        requirement = f"{place}[{extra}]"
    quoted = f'"{requirement}"' if os.name == "nt" else shlex.quote(requirement)
    return f"pip install {'-e ' if editable else ''}{quoted}"


def _origin() -> tuple[bool, str | None]:
    """Whether fastbp is installed editable, and its source: a folder, a wheel, an address; None for a package index."""
    origin = _recorded()
    checkout = FOLDER.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / "kernels").is_dir():
        editable = origin.get("dir_info", {}).get("editable", False)
        return editable and _path(origin["url"]) == checkout, str(checkout)
    url = origin.get("url", "")
    if url.startswith("file:"):
        return False, str(_path(url)) if _path(url).exists() else None
    if "vcs_info" in origin:
        return False, f"{origin['vcs_info']['vcs']}+{url}@{origin['vcs_info']['commit_id']}"
    return False, url or None


def _recorded() -> dict[str, Any]:
    """What the installer has written down about the source, PEP 610; nothing for a package index."""
    try:
        return json.loads(importlib.metadata.distribution("fastbp").read_text("direct_url.json") or "{}")
    except (importlib.metadata.PackageNotFoundError, OSError, ValueError):
        return {}


def _path(url: str) -> Path:
    from urllib.parse import urlsplit
    from urllib.request import url2pathname  # takes a moment to import, and is needed only here

    return Path(url2pathname(urlsplit(url).path))
