"""The zips of a build and its record, from images that have been prepared and divided."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from mimicry.codabench.zips import Content, write_zip
from mimicry.data_sets.labels import Row
from mimicry.data_sets.placing import PARTS, STEMS, TRAINING_TABLE, part, table
from mimicry.data_sets.prepare import Facts, Style
from mimicry.data_sets.splits import anonymous_names
from mimicry.data_sets.stash import Stash
from mimicry.demo.storage import PUBLIC
from mimicry.files import sha256_file
from mimicry.hybrids.reference import COLUMNS

# Of the training table, where the labels have them.
TRAINING_COLUMNS = ("subspecies", "parent_subspecies_1", "parent_subspecies_2")


class Ready(NamedTuple):
    """An image that has been prepared: its row, its original file, what is known of it."""

    row: Row
    path: Path
    facts: Facts


def names_of(ready: Sequence[Ready], key: bytes) -> dict[str, str]:
    """Return the published name of each image by its row's ``filename``."""
    stems = anonymous_names([image.row.filename for image in ready], key)
    return {i.row.filename: stems[i.row.filename] + i.facts.suffix for i in ready}


def write_zips(
    output: Path,
    ready: Sequence[Ready],
    splits: Sequence[str],
    names: Mapping[str, str],
    stash: Stash,
    style: Style,
    report: Callable[[str], None],
) -> dict[str, dict[str, object]]:
    """Write all zips aside; members stand in the order of their anonymous names."""
    written: dict[str, dict[str, object]] = {}

    def write(name: str, members: Mapping[str, Content]) -> None:
        aside = part(output, name)
        write_zip(aside, members, compress=False, check=lambda archive: None)
        size = aside.stat().st_size
        written[name] = {"sha256": sha256_file(aside), "bytes": size, "members": len(members)}
        files = "1 file" if len(members) == 1 else f"{len(members):,} files"
        report(f"{name}: {files}, {size:,} bytes")

    def published(image: Ready) -> Path:
        return stash.path(image.facts.sha256, style)

    def in_order(split: str) -> list[Ready]:
        here = [image for image, at in zip(ready, splits, strict=True) if at == split]
        return sorted(here, key=lambda image: names[image.row.filename])

    for split, stem in STEMS.items():
        of_split = in_order(split)
        for suffix, groups in PARTS.items() if of_split else ():
            chosen = [image for image in of_split if image.row.group in groups]
            lines = [[names[i.row.filename], str(int(i.row.hybrid)), i.row.group] for i in chosen]
            images = {names[i.row.filename]: published(i) for i in chosen}
            write(f"input_data/{stem}{suffix}.zip", images)
            csv = {f"{stem}{suffix}.csv": table(COLUMNS, lines)}
            write(f"reference_data/{stem}{suffix}.zip", csv)
    training = in_order("training")
    if training:
        titles = [title for title in TRAINING_COLUMNS if title in training[0].row.other]
        lines = [
            [
                names[i.row.filename],
                "hybrid" if i.row.hybrid else "non-hybrid",
                *(i.row.other[title] for title in titles),
            ]
            for i in training
        ]
        members: dict[str, Content] = {
            f"train/{names[i.row.filename]}": published(i) for i in training
        }
        members[TRAINING_TABLE] = table(["filename", "hybrid_stat", *titles], lines)
        write(PUBLIC, members)
    return written


def records_of(
    ready: Sequence[Ready], splits: Sequence[str], names: Mapping[str, str], images: Path
) -> list[dict[str, object]]:
    """Return what the private record tells of each image."""
    return [
        {
            "filename": image.row.filename,
            "file": image.path.relative_to(images).as_posix(),
            "name": names[image.row.filename],
            "split": split,
            "specimen": image.row.specimen,
            "hybrid_stat": int(image.row.hybrid),
            "ssp_indicator": image.row.group,
            "other": image.row.other,
        }
        | {
            key: value
            for key, value in asdict(image.facts).items()
            if key not in {"notes", "suffix", "encoder"}
        }
        for image, split in zip(ready, splits, strict=True)
    ]
