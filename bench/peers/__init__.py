"""Who is measured: each module of this folder is a peer, driven as its documentation wants it, nothing done twice."""

import importlib
import pkgutil
from collections.abc import Callable

from ..row import Work
from ._peer import Form, Peer

_MODULES = [importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__) if m.name[0] != "_"]

PEERS: list[Peer] = sorted((module.PEER for module in _MODULES), key=lambda peer: (not peer.is_own, peer.name))
FORMS: dict[str, Form] = {form.name: form for peer in PEERS for form in peer.forms}
"""By the name that stands in tables, ours and what needs no library first."""


def providers(job: str) -> dict[str, Callable[..., Work]]:
    """Who does a job: what makes the ``Work`` of a row's arguments, by the names of forms."""
    return {name: form.makers[job] for name, form in FORMS.items() if job in form.makers}


def peer_of(provider: str) -> Peer:
    """The peer that a form is of."""
    return FORMS[provider].peer
