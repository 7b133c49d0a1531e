"""The demo zoo: networks, images, activations and reference data of both Re-Align boards.

Everything below ``demo_data/zoo`` is made from a seed, and so are ``public_data`` and the
Re-Align zips in ``reference_data``. On one machine the same arguments give the same bytes;
another processor may round the last digits of the networks differently.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from mimicry import __version__
from mimicry.demo.storage import locked
from mimicry.demo.zoo_files import MANIFEST, ZOO, own_hashes, read_zoo_manifest
from mimicry.demo.zoo_images import (
    BLUE_DEVELOPMENT,
    BLUE_FINAL,
    CATALOGUE,
    DATASET,
    TRAINING,
    ImageCounts,
    draw_sets,
)
from mimicry.demo.zoo_models import BREEDS, SIDE, Breed, entry_of, in_turn, train_zoo, zoo_pool
from mimicry.errors import BundleError
from mimicry.files import remove_tree, sha256_file, write_atomically

# Raised when images, networks or files change, so that an older zoo is made anew.
GENERATOR = 2
LIBRARIES = ("torch", "timm", "safetensors", "jsonschema", "numpy", "Pillow")
PHASES = ("development", "final")


@dataclass(frozen=True)
class Zoo:
    """What a zoo consists of.

    Attributes
    ----------
    breeds : tuple of Breed
        Blue's registry; those with weights of their own may be Red's models.
    counts : ImageCounts
        Pictures in each set, by class.
    blue_count, red_count : int
        Models and stimuli to name.
    red_models : mapping
        Phase -> names of the secret models; what is left is open to everybody.
    replicates, draws : int
        Of the bootstrap for Blue, of random choices for Red.
    seed : int
        Everything depends on it.
    """

    breeds: tuple[Breed, ...] = BREEDS
    counts: ImageCounts = field(default_factory=ImageCounts)
    blue_count: int = 4
    red_count: int = 40
    red_models: Mapping[str, tuple[str, ...]] = field(
        default_factory=lambda: {
            "development": ("densenet121", "mambaout_femto", "resnet10t", "vit_tiny_patch16_224"),
            "final": ("edgenext_xx_small", "starnet_s050", "test_byobnet", "test_resnet"),
        }
    )  # fmt: skip
    replicates: int = 200
    draws: int = 100
    seed: int = 1


@dataclass(frozen=True)
class ZooSummary:
    """What `build_zoo` left on disk."""

    folder: Path
    changed: bool  # False if everything was already there
    seconds: float


def build_zoo(
    output: Path,
    zoo: Zoo | None = None,
    *,
    workers: int | None = None,
    force: bool = False,
    report: Callable[[str], None] = print,
) -> ZooSummary:
    """Make the zoo, or what is missing of it.

    Whatever ended an earlier call, the next one goes on with what is whole.

    Parameters
    ----------
    output : Path
        The bundle: gets ``demo_data/zoo``, ``public_data`` and ``reference_data``.
    zoo : Zoo, optional
        The demo's by default.
    workers : int, optional
        Processes; one per usable core by default.
    force : bool
        Make all anew, and overwrite also public and reference data of others.
    report : callable
        Gets lines of progress.

    Raises
    ------
    BundleError
        ``library-missing``; ``demo-foreign-file`` when public or reference data in the way
        were not made by this command; ``demo-busy``, ``demo-folder``, ``demo-worker-died``;
        and what extracting and building find.
    """
    zoo = zoo or Zoo()
    started = time.monotonic()
    parameters = _parameters(zoo)
    with locked(output):
        folder = output / ZOO
        manifest = read_zoo_manifest(output)
        same = manifest.get("parameters") == parameters
        if same and not force and manifest.get("state") == "done" and _whole(output, manifest):
            report(f"already there: {len(zoo.breeds)} models in {folder}")
            return ZooSummary(folder, False, time.monotonic() - started)
        targets = _targets()
        if not force:
            _check_targets(output, targets, own_hashes(manifest))
        if force or not same:
            remove_tree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        # Whose the files in other folders are must outlast the old manifest.
        outside = {name: own_hashes(manifest).get(name, []) for name in targets}
        record = {"parameters": parameters, "state": "building", "files": outside}
        _write_manifest(folder, record)
        _make(folder, zoo, workers, report)
        made = {name: folder / "built" / name for name in targets}
        for name, path in made.items():
            outside[name] = [*outside[name], sha256_file(path)]
        _write_manifest(folder, record)
        for name, path in made.items():
            (output / name).parent.mkdir(parents=True, exist_ok=True)
            path.replace(output / name)
        remove_tree(folder / "built")
        files = {name: [sha256_file(output / name)] for name in targets} | _inside(output, folder)
        _write_manifest(folder, record | {"state": "done", "files": files})
    seconds = time.monotonic() - started
    report(
        f"{len(zoo.breeds)} models, reference data for both boards and phases in {output}, "
        f"{seconds:.0f} s"
    )
    return ZooSummary(folder, True, seconds)


def _parameters(zoo: Zoo) -> dict[str, Any]:
    try:
        versions = {name: metadata.version(name) for name in LIBRARIES}
    except metadata.PackageNotFoundError as error:
        raise BundleError(
            "library-missing",
            f"The demo zoo needs {', '.join(LIBRARIES)}, and {error.name} is not installed: "
            "`make demo` installs them.",
        ) from error
    parameters = {
        "version": __version__, "generator": GENERATOR, "zoo": asdict(zoo), "libraries": versions,
    }  # fmt: skip
    # Through JSON, since a tuple reads back as a list.
    plain: dict[str, Any] = json.loads(json.dumps(parameters))
    return plain


def _targets() -> list[str]:
    """Return what stands outside of the zoo's folder, relative to the bundle."""
    public = ["blue/registry.json", "blue/rules.json", "red/catalogue.jsonl", "red/rules.json"]
    zips = [f"{team}_{phase}.zip" for team in ("blue", "red") for phase in PHASES]
    return [f"public_data/{name}" for name in public] + [f"reference_data/{name}" for name in zips]


def _check_targets(output: Path, targets: Sequence[str], own: Mapping[str, list[str]]) -> None:
    for name in targets:
        path = output / name
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise BundleError(
                "demo-foreign-file",
                f"{path} is no plain file; move it away, then run the command again.",
            )
        if path.exists() and sha256_file(path) not in own.get(name, ()):
            raise BundleError(
                "demo-foreign-file",
                f"{path} was not made by this command and would be overwritten; move it away, "
                "choose another output folder, or pass --force.",
            )


def _make(folder: Path, zoo: Zoo, workers: int | None, report: Callable[[str], None]) -> None:
    """Make everything below the zoo's folder, the targets in ``built``."""
    from mimicry.activations.registry import write_registry

    images, store = folder / "images", folder / "store"
    draw_sets(images, zoo.counts, seed=zoo.seed, side=SIDE, workers=workers, report=report)
    registry = folder / "registry.json"
    with zoo_pool(workers) as pool:
        train_zoo(
            pool,
            zoo.breeds,
            images / TRAINING,
            folder / "weights",
            seed=zoo.seed,
            report=report,
        )
        write_registry(registry, map(entry_of, zoo.breeds))
        _extract_all(pool, zoo, registry, images, store, report)
    remove_tree(folder / "built")
    _build_all(folder / "built", zoo, registry, images, store, report)


def _extract_all(
    pool: ProcessPoolExecutor,
    zoo: Zoo,
    registry: Path,
    images: Path,
    store: Path,
    report: Callable[[str], None],
) -> None:
    own = tuple(breed.name for breed in zoo.breeds if breed.weights_of is None)
    # One process for each of two orders of about the same length.
    orders = (
        (registry, images, store, (CATALOGUE,), own),
        (registry, images, store, (BLUE_DEVELOPMENT, BLUE_FINAL), ()),
    )
    for answer in in_turn(pool, _extract, orders):
        report(answer)


def _extract(
    registry: Path, images: Path, store: Path, sets: Sequence[str], models: Sequence[str]
) -> str:
    from mimicry.activations.extract import Settings
    from mimicry.activations.extraction import extract_activations

    settings = Settings(device="cpu", batch_size=50, workers=1, threads=1)
    for name in sets:
        found = extract_activations(
            registry,
            [(DATASET, images / name)],
            store / name,
            models=models,
            settings=settings,
            progress=False,
        )
        found.check()
    return f"activations taken: {', '.join(sets)}"


def _build_all(
    built: Path,
    zoo: Zoo,
    registry: Path,
    images: Path,
    store: Path,
    report: Callable[[str], None],
) -> None:
    from mimicry.activations.registry import read_registry
    from mimicry.realign.build import BlueOptions, RedOptions, build_blue, build_red

    entries = read_registry(registry)
    blue = BlueOptions(count=zoo.blue_count, replicates=zoo.replicates, seed=zoo.seed)
    for phase, name in zip(PHASES, (BLUE_DEVELOPMENT, BLUE_FINAL), strict=True):
        build_blue(
            store / name,
            entries,
            built / "reference_data" / f"blue_{phase}.zip",
            built / "public_data" / "blue",
            blue,
        )
        build_red(
            store / CATALOGUE,
            built / "reference_data" / f"red_{phase}.zip",
            built / "public_data" / "red",
            RedOptions(
                count=zoo.red_count,
                draws=zoo.draws,
                models=zoo.red_models[phase],
                seed=zoo.seed,
                # Drawn pictures may be shown to everybody; Final's page shows none anyway.
                thumbnails=((DATASET, images / CATALOGUE),) if phase == "development" else (),
            ),
            registry=entries,
        )
        report(f"reference data built: {phase}")


def _inside(output: Path, folder: Path) -> dict[str, list[str]]:
    return {
        path.relative_to(output).as_posix(): [sha256_file(path)]
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / MANIFEST
    }


def _whole(output: Path, manifest: Mapping[str, Any]) -> bool:
    """Tell whether every recorded file is there as it was recorded.

    Logs and locks of the store may change when somebody else extracts into it.
    """
    files = own_hashes(manifest)
    return bool(files) and all(
        (output / name).is_file() and sha256_file(output / name) in digests
        for name, digests in files.items()
        if not name.endswith("/log.jsonl") and "/.locks/" not in name
    )


def _write_manifest(folder: Path, record: Mapping[str, Any]) -> None:
    write_atomically(folder / MANIFEST, json.dumps(record, indent=1, sort_keys=True) + "\n")
