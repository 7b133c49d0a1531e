"""The command ``mimicry``: every verb of a submission's life, and of the organiser's."""

import io
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

import click

from mimicry import __version__
from mimicry.commands.activations import activations
from mimicry.commands.board import board
from mimicry.commands.check import check
from mimicry.commands.data import data
from mimicry.commands.demo import demo
from mimicry.commands.new_submission import new_submission
from mimicry.commands.pack import pack, pack_submission
from mimicry.commands.realign import realign
from mimicry.commands.rehearse import rehearse
from mimicry.commands.report import report
from mimicry.commands.run import run
from mimicry.commands.seal_key import seal_key
from mimicry.commands.validate import validate
from mimicry.commands.verify import verify
from mimicry.errors import EXIT_DONE, EXIT_USAGE, run_program
from mimicry.system_faults import system_fault

EXIT_INTERRUPTED = 130
# What shells show for a command whose reader went away, as with `| head`.
EXIT_PIPE = 141

# Click's, when a shell asks what may come next.
_COMPLETING = "_MIMICRY_COMPLETE"

_ENDING = (signal.SIGTERM, signal.SIGHUP)

_Program = Callable[[], int]


class _Ended(BaseException):
    """A signal asks this process to end; click lets it pass, unlike an interrupt."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


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
  mimicry new-submission my_model                      participants
  mimicry check my_model/ --smoke
  mimicry run my_model/ --competition hybrid
  mimicry board --html board.html
  mimicry report runs/hybrid/development/my_model-1
  mimicry pack-submission my_model/
  mimicry data build photographs/ labels.csv           organisers
  mimicry data audit
  mimicry validate
  mimicry rehearse
  mimicry pack
  mimicry verify runs/hybrid/final/my_model-1
  mimicry activations extract registry.json --stimuli images/ --store activations
  mimicry realign build blue activations --phase development
\n
Exit codes: 0 done, 1 a bug of this program, 2 wrong usage, 3 the submission must be
mended, 4 the bundle, its data or this machine must be mended.""",
)
@click.version_option(__version__, prog_name="mimicry", message="%(prog)s %(version)s")
def cli() -> None:
    """Run, check, rank and pack hybrid detection and Re-Align challenges on this machine."""


for _command in (
    demo,
    data,
    new_submission,
    check,
    run,
    board,
    report,
    verify,
    pack_submission,
    rehearse,
    pack,
    seal_key,
    validate,
    activations,
    realign,
):
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
        0 done, 1 bug, 2 wrong usage, 3 `SubmissionError`, 4 `BundleError`, 130 interrupted,
        129 or 143 ended by SIGHUP or SIGTERM.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # File names need not be text.
        sys.stdout.reconfigure(errors="backslashreplace")

    def program() -> int:
        result = cli.main(
            args=None if argv is None else list(argv), prog_name="mimicry", standalone_mode=False
        )
        return result if isinstance(result, int) else EXIT_DONE

    try:
        with _ending_cleanly():
            return run_program(_without_click(_without_system_faults(program)))
    except _Ended as ended:
        # The terminal may be what went away.
        with suppress(OSError):
            print(f"Ended by {signal.Signals(ended.number).name}.", file=sys.stderr, flush=True)
        return 128 + ended.number
    except KeyboardInterrupt as interrupt:
        # A command that can go on says so.
        print(" ".join(["Interrupted.", *map(str, interrupt.args)]), file=sys.stderr, flush=True)
        return EXIT_INTERRUPTED


@contextmanager
def _ending_cleanly() -> Iterator[None]:
    """Let a request to end leave through every clean-up, as Ctrl-C does."""
    own = os.getpid()

    def end(number: int, frame: FrameType | None) -> None:
        if os.getpid() != own:
            # A forked child has nothing to clean up.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        for one in before:
            # A second request must not cut the clean-up short.
            signal.signal(one, signal.SIG_IGN)
        raise _Ended(number)

    before = {}
    if threading.current_thread() is threading.main_thread():
        # What is ignored, as under nohup, stays so; what a caller handles is the caller's.
        before = {n: h for n in _ENDING if (h := signal.getsignal(n)) is signal.SIG_DFL}
    for number in before:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _without_system_faults(program: _Program) -> _Program:
    """Wrap `program` so that a full disk or a forbidden file is no bug of ours."""

    def wrapped() -> int:
        try:
            return program()
        except OSError as error:
            if (fault := system_fault(error)) is not None:
                raise fault from error
            raise

    return wrapped


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
        except click.Abort as aborted:
            # Click puts this in place of an interrupt, which may say what to do next.
            raise KeyboardInterrupt(*getattr(aborted.__cause__, "args", ())) from None
        except SystemExit as leaving:
            frames = [frame for frame, _ in traceback.walk_tb(leaving.__traceback__)]
            if frames[-1].f_globals.get("__name__") == "click.core":
                # Click's way out of a broken pipe, or after it told a shell what may come next.
                told = os.environ.get(_COMPLETING) and isinstance(leaving.code, int)
                return int(leaving.code or 0) if told else EXIT_PIPE
            # No command of ours leaves so: code that it called did, and nothing is done.
            raise RuntimeError(f"sys.exit({leaving.code!r}) was called within a command") from None

    return wrapped


if __name__ == "__main__":
    sys.exit(main())
