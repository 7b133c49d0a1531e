"""The command ``mimicry``: every verb of a submission's life, and of the organiser's."""

import sys
from collections.abc import Callable, Sequence

import click

from mimicry import __version__
from mimicry.commands.board import board
from mimicry.commands.check import check
from mimicry.commands.data import data
from mimicry.commands.demo import demo
from mimicry.commands.pack import pack, pack_submission
from mimicry.commands.run import run
from mimicry.errors import EXIT_DONE, EXIT_USAGE, run_program

EXIT_INTERRUPTED = 130
# What shells show for a command whose reader went away, as with `| head`.
EXIT_PIPE = 141

_Program = Callable[[], int]


class _InOrder(click.Group):
    """A group that lists its commands in the order of a submission's life."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands as they were added."""
        return list(self.commands)


@click.group(
    cls=_InOrder,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""\b
Examples:
  mimicry demo                                         new here
  mimicry check my_model/ --smoke                      participants
  mimicry run my_model/ --competition hybrid
  mimicry pack-submission my_model/
  mimicry pack                                         organisers
\n
Exit codes: 0 done, 1 a bug of this program, 2 wrong usage, 3 the submission must be
mended, 4 the bundle, its data or this machine must be mended.""",
)
@click.version_option(__version__, prog_name="mimicry", message="%(prog)s %(version)s")
def cli() -> None:
    """Run, check, rank and pack the hybrid detection challenge on this machine."""


for _command in (demo, data, check, run, board, pack_submission, pack):
    cli.add_command(_command)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments without the program's name; the process's own by default.

    Returns
    -------
    int
        0 done, 1 bug, 2 wrong usage, 3 `SubmissionError`, 4 `BundleError`, 130 interrupted.
    """

    def program() -> int:
        result = cli.main(
            args=None if argv is None else list(argv), prog_name="mimicry", standalone_mode=False
        )
        return result if isinstance(result, int) else EXIT_DONE

    try:
        return run_program(_without_click(program))
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr, flush=True)
        return EXIT_INTERRUPTED


def _without_click(program: _Program) -> _Program:
    """Wrap `program` so that click's own exceptions become exit codes."""

    def wrapped() -> int:
        try:
            return program()
        except click.exceptions.Exit as leaving:
            return leaving.exit_code
        except click.ClickException as error:
            error.show()
            return EXIT_USAGE
        except click.Abort:
            raise KeyboardInterrupt from None
        except SystemExit:
            # Click's way out of a broken pipe; no command raises it otherwise.
            return EXIT_PIPE

    return wrapped


if __name__ == "__main__":
    sys.exit(main())
