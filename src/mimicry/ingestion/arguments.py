"""What the ingestion program is told on its command line."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from mimicry.ingestion.isolation.plan import DISK_LIMIT

REQUIRE_VARIABLE = "MIMICRY_REQUIRE_ISOLATION"
_EXAMPLES = """\
The four folders default to the platform's own, so that it runs there without any.

examples:
  python3 ingestion.py
  python3 ingestion.py input_data output ingestion_program my_submission
  MIMICRY_TIME_LIMIT=60 python3 ingestion.py input_data output ingestion_program my_submission
  python3 ingestion.py --require-isolation --weights /app/data/weights

environment:
  MIMICRY_TIME_LIMIT  seconds, instead of the phase's limit (dry runs)
  MIMICRY_WHEELS      folder of wheels for requirements that are not installed
  MIMICRY_REQUIRE_ISOLATION=1  as --require-isolation (dry runs)

exit codes: 0 done, 1 a bug of this program, 2 wrong usage,
            3 the submission's fault, 4 the organiser's fault
"""


class Arguments(argparse.Namespace):
    """The four folders of a run, and what models may have."""

    input: Path
    output: Path
    program: Path
    submission: Path
    weights: list[Path]
    allow_network: bool
    require_isolation: bool
    disk_limit: int


def parse(arguments: Sequence[str]) -> Arguments:
    """Read the command line; wrong usage raises ``SystemExit(2)``."""
    parser = argparse.ArgumentParser(
        prog="ingestion.py",
        description="Run a submission's model over the input images and write its predictions.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        # A flag decides about protection: none is guessed from its beginning.
        allow_abbrev=False,
    )
    for name, default, text in (
        ("input", "/app/input_data", "folder of images"),
        ("output", "/app/output", "folder for the predictions; it is emptied first"),
        ("program", "/app/program", "the ingestion program's own folder"),
        ("submission", "/app/ingested_program", "the unpacked submission"),
    ):
        metavar = f"{name.upper()}_DIR"
        parser.add_argument(
            name, nargs="?", type=Path, default=Path(default), metavar=metavar,
            help=f"{text} (default: {default})",
        )  # fmt: skip
    parser.add_argument(
        "--weights", action="append", type=Path, default=[], metavar="FOLDER",
        help="show this folder to models, read-only, as /app/data/weights (may be repeated)",
    )  # fmt: skip
    parser.add_argument(
        "--allow-network", action="store_true", help="let models use the container's network"
    )
    parser.add_argument(
        "--disk-limit", type=_gibibytes, default=DISK_LIMIT, metavar="GIB",
        help="how much a model may fill on disk (default: 8)",
    )  # fmt: skip
    parser.add_argument(
        "--require-isolation",
        action="store_true",
        default=os.environ.get(REQUIRE_VARIABLE) == "1",
        help="start no model where a protection is missing",
    )
    return parser.parse_args(arguments, namespace=Arguments())


def _gibibytes(text: str) -> int:
    number = float(text)
    if not 0 < number <= 2**20:
        raise argparse.ArgumentTypeError(f"{text} is no size in GiB above 0")
    return int(number * 2**30)


def clash(folders: Arguments) -> str | None:
    """Refuse an output folder whose emptying would take something else along."""
    output = folders.output.resolve()
    if not folders.program.is_dir():
        return f"PROGRAM_DIR is not a folder: {folders.program}"
    for name in ("input", "program", "submission"):
        other = getattr(folders, name).resolve()
        if output == other or output in other.parents or other in output.parents:
            return f"OUTPUT_DIR is emptied first, so it must lie apart from {name.upper()}_DIR"
    if output in {Path("/"), Path.home()}:
        return f"OUTPUT_DIR is emptied first; {output} is no place for that"
    return None
