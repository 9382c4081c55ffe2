"""What pyproject.toml cannot say: a wheel carries the machine code of its kernels.

``FASTBP_MACHINE_CODE`` says for which CPUs: ``own``, those with the vectors of this one; ``all`` of the platform; or
``none``. Unless it does, a wheel that pip builds, to install it, is for its own machine, and any other for all.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py


def machine_code(build_lib):
    """The folder that ``fastbp.kernels._jit.CARRIED`` is in a built package."""
    return Path(build_lib).resolve() / "fastbp" / "kernels" / "machine_code"


class BuildWithMachineCode(build_py):
    """Has the built package compile itself; where that fails, it is compiled at first use, as in a checkout."""

    def run(self):
        """Build, and compile unless what is installed will be the checkout itself."""
        super().run()
        rows = os.environ.get("FASTBP_MACHINE_CODE") or ("own" if "PIP_BUILD_TRACKER" in os.environ else "all")
        if not self.editable_mode:
            shutil.rmtree(machine_code(self.build_lib), ignore_errors=True)  # an earlier build's
            if rows != "none":
                self.compile_kernels(rows)

    def compile_kernels(self, rows):
        """Fill the folder, or leave none."""
        folder = machine_code(self.build_lib)
        path = os.pathsep.join([str(Path(self.build_lib).resolve()), os.environ.get("PYTHONPATH", "")]).rstrip(
            os.pathsep
        )
        environment = os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-m", "fastbp.commands._carry", str(folder), rows]
        try:
            subprocess.run(command, env=environment, cwd=self.build_lib, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            shutil.rmtree(folder, ignore_errors=True)
            print(f"fastbp: this wheel carries no machine code, kernels are compiled at first use: {error}")


class TaggedByPlatform(bdist_wheel):
    """A wheel with machine code is for one platform and one version of Python, one without for all."""

    def get_tag(self):
        """Ask with what the build has made in mind."""
        self.root_is_pure = not machine_code(self.get_finalized_command("build").build_lib).is_dir()
        tag = super().get_tag()
        self.root_is_pure = True  # so much for the tag: files go where those of a pure package go
        return tag


setup(cmdclass={"build_py": BuildWithMachineCode, "bdist_wheel": TaggedByPlatform})
