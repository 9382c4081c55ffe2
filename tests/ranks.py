"""Processes that MPI joins, as tests start them."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
needs_mpi = pytest.mark.skipif(
    MPIEXEC is None or importlib.util.find_spec("mpi4py") is None,
    reason="needs mpi4py and an mpiexec: the extra mpi",
)
HERE = Path(__file__).parent
# Open MPI starts nothing as root, and no more ranks than there are cores, unless it is told to. MPICH's ranks wait for
# others on a core that these could have, unless it is told that ranks are many.
FOR_FEW_CORES = dict.fromkeys(("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"), "1") | {
    "PRTE_MCA_rmaps_default_mapping_policy": ":OVERSUBSCRIBE",
    "MPIR_CVAR_ENABLE_HEAVY_YIELD": "1",
}


def started(n_ranks, *command):
    """The ended run of ``n_ranks`` of Python with this command."""
    return started_by([MPIEXEC, "-n", str(n_ranks)], *command)


def started_by(mpiexec, *command, environment=os.environ, seconds=240):
    """The ended run of Python with this command by a launcher and its options."""
    folders = os.pathsep.join([str(HERE), str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    environment = environment | FOR_FEW_CORES | {"PYTHONPATH": folders, "NUMBA_NUM_THREADS": "1"}
    command = [*map(str, mpiexec), sys.executable, *map(str, command)]
    return subprocess.run(command, capture_output=True, text=True, timeout=seconds, env=environment)
