"""What lies in a store, in lines for people: sizes, states, and what tells caches apart."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from mimicry.activations.manifest import MANIFEST, Manifest, canonical, read_manifest
from mimicry.errors import BundleError, one_line

_ABSENT = "none"
# Fingerprints are shown by as many digits as keys have in names of folders.
_DIGITS = 16


class Line(NamedTuple):
    """A line, and whether it marks a cache that was computed under other conditions."""

    text: str
    marked: bool = False


def list_lines(folders: Sequence[Path]) -> Iterator[Line]:
    """Yield a line for each cache of a set, and one below those that are alike by name.

    Conditions are compared one by one with the most frequent value of the set, and a
    library's version so among the caches that tell of that library.

    Parameters
    ----------
    folders : sequence of Path
        The caches over one list of stimuli.
    """
    manifests: dict[Path, Manifest] = {}
    for folder in folders:
        try:
            manifest = read_manifest(folder)
        except BundleError as error:
            yield Line(f"{folder.name}  {error}")
        else:
            if manifest is not None:
                manifests[folder] = manifest
    usual = _usual([manifest.conditions for manifest in manifests.values()])
    apart = _differences(manifests)
    for folder, manifest in manifests.items():
        other = [
            f"{name} {one_line(str(value), 40)}"
            for name, value in sorted(manifest.conditions.items())
            if canonical(value) != usual[name]
        ]
        mark = f" * {', '.join(other)}" if other else ""
        size = sum(shard.bytes for shard in manifest.shards)
        state = "complete" if manifest.complete else f"{manifest.rows_written:,} rows so far"
        rows = "?" if manifest.rows is None else f"{manifest.rows:,}"
        yield Line(
            f"{folder.name}  {rows} x {manifest.width:,} {manifest.dtype}, "
            f"{size / 1e6:,.1f} MB, {state}{mark}",
            bool(other),
        )
        if folder in apart:
            yield Line(f"  {apart[folder]}")


def _usual(conditions: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for one in conditions:
        for name, value in one.items():
            counts[name][canonical(value)] += 1
    return {name: values.most_common(1)[0][0] for name, values in counts.items()}


def _differences(manifests: Mapping[Path, Manifest]) -> dict[Path, str]:
    """Return in what caches of the same model and layer differ, for each of these."""
    groups: defaultdict[tuple[str, str], list[Path]] = defaultdict(list)
    for folder, manifest in manifests.items():
        model = manifest.identity.get("model")
        if isinstance(model, Mapping) and "model_name" in model:
            groups[str(model["model_name"]), str(model.get("layer", ""))].append(folder)
    found = {}
    for group in groups.values():
        if len(group) < 2:
            continue
        flat = {folder: dict(_flat(manifests[folder].identity)) for folder in group}
        names = sorted({name for values in flat.values() for name in values})
        for folder, values in flat.items():
            parts = [
                f"{name} {values.get(name, _ABSENT)}"
                for name in names
                if len({one.get(name) for one in flat.values()}) > 1
            ]
            parts.append(f"written {_written(folder)}")
            found[folder] = ", ".join(parts)
    return found


def _flat(document: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in document.items():
        # The entry's own keys need no prefix: a registry has them so.
        path = f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from _flat(value, "" if path == "model" else f"{path}.")
        elif name.endswith("sha256"):
            yield path, str(value)[:_DIGITS]
        else:
            yield path, one_line(canonical(value), 80)


def _written(folder: Path) -> str:
    when = datetime.fromtimestamp((folder / MANIFEST).stat().st_mtime, UTC)
    return f"{when:%Y-%m-%d %H:%M} UTC"
