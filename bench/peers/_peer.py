"""What a peer is: a library, and the forms in which it does the jobs of rows."""

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from ..row import Work

Maker = TypeVar("Maker", bound=Callable[..., Work])


@dataclass(eq=False)
class Peer:
    """A library, or a way to write without one, that rows are measured with.

    Attributes
    ----------
    name : of its processes, in which all its forms run
    module, package : what is imported, and the distribution that it is installed by
    imports : the statement by which a script imports what it trains with; "" leaves the peer out of rows of that
    first_step : the lines of a script that do one step of SGD with a rate of 0.1; see ``bench_start``
    is_own : whether it has to work: another that can not leaves a reason in the table
    forms : the ways to drive it, in the order of their making
    """

    name: str
    module: str
    package: str
    imports: str = ""
    first_step: str = ""
    is_own: bool = False
    forms: list["Form"] = field(default_factory=list)

    def form(self, name: str, colour: str, marker: str, *, quick: bool = True) -> "Form":
        """A new form; see ``Form``."""
        self.forms.append(Form(name, self, colour, marker, quick))
        return self.forms[-1]

    def is_installed(self) -> bool:
        """Whether its module is there to be imported."""
        return importlib.util.find_spec(self.module) is not None


@dataclass(eq=False)
class Form:
    """One way to drive a peer: a column of the tables.

    Attributes
    ----------
    colour, marker : of its points in plots
    quick : whether the quick form has time for it
    makers : by job, the function that makes a row's ``Work`` of its arguments
    """

    name: str
    peer: Peer
    colour: str
    marker: str
    quick: bool
    makers: dict[str, Callable[..., Work]] = field(default_factory=dict)

    def does(self, *jobs: str) -> Callable[[Maker], Maker]:
        """Mark a function of a module's top level: it makes the work of these jobs."""

        def mark(maker: Maker) -> Maker:
            self.makers.update(dict.fromkeys(jobs, maker))
            return maker

        return mark


def threads() -> int:
    """How many threads this process is to use."""
    return int(os.environ["OMP_NUM_THREADS"])
