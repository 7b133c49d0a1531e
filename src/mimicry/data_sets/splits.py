"""Which image belongs to Development, Final or the training data."""

import hashlib
import hmac
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence

from mimicry.data_sets.labels import Row


def make_splits(
    rows: Sequence[Row], units: Sequence[Hashable], shares: Mapping[str, float], seed: bytes
) -> list[str]:
    """Divide images among splits, in proportion within each class of each group.

    Units are divided whole: all images of an animal, with all that look like them. Larger
    ones first, otherwise in an order that `seed` decides; each goes where its classes
    lack most, compared with what that split should have. A unit with an image that would
    show participants what is to be found does not go into the training data.

    Parameters
    ----------
    rows : sequence of Row, length n
    units : sequence of hashable, length n
        Equal for images that must stay together.
    shares : mapping
        Split -> weight, finite and not negative, with at least one above 0 besides
        ``training``.
    seed : bytes
        The same seed, rows and units give the same splits, in whatever order rows come.

    Returns
    -------
    list of str, length n
    """
    members: dict[Hashable, list[int]] = {}
    for i, unit in enumerate(units):
        members.setdefault(unit, []).append(i)
    order = sorted(
        (
            -len(places),
            hmac.digest(
                seed, min(rows[i].filename for i in places).encode("utf-8", "replace"), "sha256"
            ),
            places,
        )
        for places in members.values()
    )
    missing = _wanted(rows, shares)
    labels = {row.label for row in rows}
    wanted = {key: max(value, 1e-9) for key, value in missing.items()}
    lacking = {split: sum(missing[split, label] for label in labels) for split in shares}
    chosen = [""] * len(rows)
    for _, _, places in order:
        classes = Counter(rows[i].label for i in places)
        open_to = [
            split
            for split, share in shares.items()
            if share > 0 and (split != "training" or all(rows[i].may_train for i in places))
        ]
        best = max(
            open_to,
            # Of equals the one that lacks most as a whole, then the first.
            key=lambda split: (
                sum(
                    count * missing[split, label] / wanted[split, label]
                    for label, count in classes.items()
                ),
                lacking[split] / shares[split],
            ),
        )
        lacking[best] -= len(places)
        for i in places:
            chosen[i] = best
            missing[best, rows[i].label] -= 1
    return chosen


def _wanted(
    rows: Sequence[Row], shares: Mapping[str, float]
) -> dict[tuple[str, tuple[str, bool]], float]:
    """Return how many images of each class a split should get."""
    wanted = {}
    for label, count in Counter(row.label for row in rows).items():
        may_train = next(row for row in rows if row.label == label).may_train
        weights = {s: w if may_train or s != "training" else 0.0 for s, w in shares.items()}
        total = sum(weights.values())
        for split, weight in weights.items():
            wanted[split, label] = count * weight / total
    return wanted


def anonymous_names(originals: Sequence[str], seed: bytes) -> dict[str, str]:
    """Return a name of 16 hexadecimal digits for each original name, all different.

    They are keyed hashes (HMAC-SHA256), so that nobody without the seed can tell which
    name belongs to which photograph, and the order of names is no other order.
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    for original in sorted(originals):
        attempt = 0
        while True:
            text = f"{attempt}/{original}".encode("utf-8", "surrogatepass")
            name = hmac.digest(seed, b"name/" + text, hashlib.sha256).hex()[:16]
            if name not in taken:
                break
            attempt += 1
        taken.add(name)
        names[original] = name
    return names
