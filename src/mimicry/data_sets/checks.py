"""What keeps photographs and labels from being published: faults, each told with all its files."""

from collections.abc import Collection, Mapping, Sequence

from mimicry.data_sets.duplicates import Link
from mimicry.data_sets.findings import Finding, judge
from mimicry.data_sets.labels import Row
from mimicry.data_sets.placing import PARTS, STEMS
from mimicry.data_sets.prepare import KEEP, Facts, Style
from mimicry.errors import BundleError
from mimicry.hybrids.reference import Reference, check_gradable

_FILES = {
    "image-missing": "%d {row has|rows have} no image; add it, or remove the row.",
    "image-link": "%d {row names|rows name} a link, which is not followed; put the file itself "
    "there.",
    "image-ambiguous": "%d {row names|rows name} several images; write the path within the folder.",
    "image-shared": "%d {row names|rows name} an image that another row has; keep one row per "
    "image.",
    "image-unlabelled": "%d {image has|images have} no row in the table; add rows, or take the "
    "images away.",
}
_IMAGES = {
    "image-unreadable": "%d {image|images} cannot be read whole; export {it|them} anew.",
    "image-frames": "%d {file holds|files hold} several pictures; save the one that is meant.",
    "image-too-large": "%d {image is|images are} too large; scale {it|them} down.",
    "image-kind": "%d {image|images} cannot be published in this format; choose another "
    "--format, or save {it|them} as JPEG or PNG.",
    "image-transparent": "%d {image is|images are} transparent in parts; put {it|them} on a "
    "background.",
    "image-turned": "%d {image lies|images lie} on a side, and --format keep cannot turn "
    "{it|them}; use --format jpeg or png.",
    "image-profile": "%d {image is|images are} in other colours than sRGB, and --format keep "
    "cannot convert {it|them}; use --format jpeg or png.",
    "image-depth": "%d {image has|images have} 16 bits, of which 8 are kept.",
    "image-cmyk": "%d {image is|images are} CMYK without a profile: colours are a guess.",
    "image-profile-broken": "%d {image has|images have} a colour profile that cannot be used.",
}
_MILD_IMAGES = ("image-depth", "image-cmyk", "image-profile-broken")
_MIXED = {
    "images-mixed": "the images have %d formats or modes, which may tell classes apart; use "
    "--format jpeg or png, which makes them alike.",
    "images-encoders": "the images keep the settings of %d encoders, which may tell classes "
    "apart; `mimicry data audit` measures whether they do.",
}
_LOOKS = {
    "duplicate-labels": "%d {pair of images looks|pairs of images look} alike, with different "
    "labels; correct one.",
    "duplicate-across": "%d {pair of images looks|pairs of images look} alike, in different "
    "splits; keep both in one, or remove one.",
    "duplicate-within": "%d {pair|pairs} of images of one split {looks|look} alike; each image "
    "counts by itself.",
}
_ANIMALS = {
    "specimen-shared": "%d {specimen is|specimens are} in several splits; keep all images of an "
    "animal in one.",
    "specimen-labels": "%d {specimen has|specimens have} different labels; correct them.",
    "training-reveals": "%d training {image shows|images show} a mimic or a hybrid of the "
    "non-signal group, which participants are to find without having seen any; give {it|them} to "
    "another split.",
    "labels-not-gradable": "%d {set|sets} cannot be graded.",
    "split-empty": "%d {split is|splits are} empty; {its|their} files are not written.",
}


def file_findings(faults: Mapping[str, Sequence[str]], allowed: Collection[str]) -> list[Finding]:
    """Return the findings of matching rows with files."""
    return judge(_FILES, faults, allowed)


def image_findings(faults: Mapping[str, Sequence[str]], allowed: Collection[str]) -> list[Finding]:
    """Return the findings of reading images one by one."""
    return judge(_IMAGES, faults, allowed, _MILD_IMAGES)


def mixture_findings(
    facts: Sequence[Facts], style: Style, allowed: Collection[str]
) -> list[Finding]:
    """Return what remains different between images whose coded pixels are kept."""
    if style.format != KEEP:
        return []
    faults: dict[str, list[str]] = {}
    for code, values in (
        ("images-mixed", [one.kind for one in facts]),
        ("images-encoders", [one.encoder for one in facts]),
    ):
        kinds = sorted(set(values))
        if len(kinds) > 1:
            faults[code] = [f"{values.count(kind):,} images: {kind}" for kind in kinds]
    return judge(_MIXED, faults, allowed, ["images-encoders"])


def duplicate_findings(
    links: Sequence[Link], rows: Sequence[Row], splits: Sequence[str], allowed: Collection[str]
) -> list[Finding]:
    """Return which images look alike where they should not.

    Images of one animal that merely look alike, with one label and in one split, are what
    one expects.
    """
    faults: dict[str, list[str]] = {}
    for link in links:
        one, other = rows[link.first], rows[link.second]
        text = f"{one.filename} and {other.filename}: {link.words()}"
        kin = one.specimen is not None and one.specimen == other.specimen
        if one.label != other.label:
            faults.setdefault("duplicate-labels", []).append(text)
        if splits[link.first] != splits[link.second]:
            where = f" ({splits[link.first]}, {splits[link.second]})"
            faults.setdefault("duplicate-across", []).append(text + where)
        elif one.label == other.label and not (kin and link.distance >= 0):
            faults.setdefault("duplicate-within", []).append(text)
    return judge(_LOOKS, faults, allowed, ["duplicate-within"])


def animal_findings(
    rows: Sequence[Row], splits: Sequence[str], allowed: Collection[str]
) -> list[Finding]:
    """Return what is wrong with animals, splits and sets."""
    faults: dict[str, list[str]] = {}
    places: dict[str, dict[str, str]] = {}
    labels: dict[str, set[tuple[str, bool]]] = {}
    for row, split in zip(rows, splits, strict=True):
        if row.specimen is not None:
            places.setdefault(row.specimen, {}).setdefault(split, row.filename)
            labels.setdefault(row.specimen, set()).add(row.label)
        if split == "training" and not row.may_train:
            faults.setdefault("training-reveals", []).append(f"{row.filename} (row {row.number})")
    shared = {animal: where for animal, where in places.items() if len(where) > 1}
    faults["specimen-shared"] = [
        f"{animal}: {', '.join(f'{name} ({split})' for split, name in where.items())}"
        for animal, where in shared.items()
    ]
    faults["specimen-labels"] = [animal for animal, found in labels.items() if len(found) > 1]
    faults["labels-not-gradable"] = _not_gradable(rows, splits)
    faults["split-empty"] = [split for split in STEMS if split not in splits]
    mild = ["split-empty"] if len(faults["split-empty"]) < len(STEMS) else []
    return judge(_ANIMALS, faults, allowed, mild)


def _not_gradable(rows: Sequence[Row], splits: Sequence[str]) -> list[str]:
    found = []
    for split, stem in STEMS.items():
        for suffix, groups in PARTS.items():
            here = [
                row
                for row, at in zip(rows, splits, strict=True)
                if at == split and row.group in groups
            ]
            # The whole set is the sum of its parts.
            if split not in splits or not suffix:
                continue
            reference = Reference(
                tuple(row.filename for row in here),
                tuple(row.hybrid for row in here),
                tuple(row.group for row in here),
            )
            try:
                check_gradable(reference, groups, suffix[1:])
            except BundleError as error:
                found.append(f"{stem}{suffix}: {error.sentence}")
    return found
