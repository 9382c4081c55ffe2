"""The subcommands of ``fastbp``, one file each.

The docstring of such a file is the command's help, and in it are

- EXAMPLES, shown below the help;
- ``add_options(parser)``;
- ``Options``, a frozen dataclass with an attribute for each of them;
- ``run(options)``, which does the work and raises CommandError where a user has to know why it cannot. The library's
  errors on data and model files are told as well, in the words of the command line.

Files with an underscore hold what several of them share.
"""


class CommandError(Exception):
    """The command cannot go on; a line for the user, and the exit code."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code
