"""A Blue submission's models against the registry and the rules."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from mimicry.activations.entries import ModelEntry, entries_of
from mimicry.errors import BundleError
from mimicry.files import UnusableFile, read_regular_file
from mimicry.realign.json_faults import quoted
from mimicry.realign.names import KnownNames
from mimicry.realign.submissions import MODELS_KEY, BlueSubmission, Faults, ModelChoice

LARGEST_REGISTRY = 32 * 1024 * 1024
LEAST_SET = 2


class Registry:
    """The models that Blue may choose from, in the registry's order.

    Parameters
    ----------
    entries : sequence of ModelEntry
        As `mimicry.activations.entries.entries_of` returns them; no two with the same
        name and layer.
    """

    def __init__(self, entries: Sequence[ModelEntry]) -> None:
        self.entries = tuple(entries)
        self._rows: dict[str, list[int]] = {}
        for row, entry in enumerate(self.entries):
            self._rows.setdefault(entry.model_name, []).append(row)
        self._names = KnownNames(self._rows)

    def __len__(self) -> int:
        return len(self.entries)

    def find(self, choice: ModelChoice, faults: Faults) -> int | None:
        """Return the row of a chosen model; what does not agree with it goes into `faults`.

        ``unknown-model``, ``layer-missing``, ``wrong-layer``, ``wrong-source``,
        ``wrong-parameters``.
        """
        where = f"{MODELS_KEY}[{choice.position}]"
        name = choice.model_name
        rows = self._rows.get(name)
        if rows is None:
            faults.add(
                "unknown-model",
                f"{where}.model_name",
                lambda: f"{quoted(name)} is not in the registry{faults.hint(self._names, name)}",
            )
            return None
        row = self._row_of_layer(rows, choice, where, faults)
        entry = self.entries[rows[0] if row is None else row]
        if choice.source is not None and choice.source != entry.source:
            faults.add(
                "wrong-source",
                f"{where}.source",
                f"is {quoted(choice.source)}, but the registry has {name} from "
                f"{quoted(entry.source)}",
            )
        if choice.model_parameters and not _same(choice.model_parameters, entry.model_parameters):
            faults.add(
                "wrong-parameters",
                f"{where}.model_parameters",
                f"differ from the registry's for {name} "
                f"({_compact(entry.model_parameters)}); leave them out or write these",
            )
        return row

    def _row_of_layer(
        self, rows: Sequence[int], choice: ModelChoice, where: str, faults: Faults
    ) -> int | None:
        layers = {self.entries[row].layer: row for row in rows}
        shown = " or ".join(map(quoted, layers))
        if choice.layer_name is None:
            if len(rows) == 1:
                return rows[0]
            faults.add(
                "layer-missing",
                where,
                f"needs a layer_name, since the registry has several layers of "
                f"{choice.model_name}: write {shown}",
            )
            return None
        if choice.layer_name not in layers:
            faults.add(
                "wrong-layer",
                f"{where}.layer_name",
                f"is {quoted(choice.layer_name)}, but the registry has {shown} for "
                f"{choice.model_name}",
            )
        return layers.get(choice.layer_name)


def read_blue_registry(path: Path) -> Registry:
    """Read a registry without the libraries that only building one needs.

    Raises
    ------
    BundleError
        ``registry-unreadable`` or ``registry-invalid``.
    """
    try:
        document = json.loads(read_regular_file(path, LARGEST_REGISTRY).decode("utf-8"))
    except UnusableFile as fault:
        raise _unreadable(path, str(fault)) from None
    except (ValueError, RecursionError):
        raise _unreadable(path, "is no JSON in UTF-8") from None
    return Registry(entries_of(document))


def check_models(
    submission: BlueSubmission, registry: Registry, count: int | None, faults: Faults
) -> tuple[int, ...]:
    """Check a submission's models against the registry and the rules.

    Parameters
    ----------
    submission : BlueSubmission
        Its entries without faults of form.
    registry : Registry
        The models to choose from.
    count : int or None
        How many must be named; None for two or more.
    faults : Faults
        Gets what `Registry.find` finds, ``duplicate-model``, ``same-weights`` and
        ``wrong-count``.

    Returns
    -------
    tuple of int
        Rows of the registry, in the submission's order; complete if there are no faults.
    """
    check_model_count(submission, count, faults)
    first: dict[int, int] = {}
    weights: dict[str, int] = {}
    for choice in submission.models:
        row = registry.find(choice, faults)
        if row is None:
            continue
        where = f"{MODELS_KEY}[{choice.position}]"
        if row in first:
            faults.add("duplicate-model", *_again(choice, first[row]))
            continue
        first[row] = choice.position
        entry = registry.entries[row]
        # Two layers of one model are the same weights, whether or not they are recorded.
        keys = [f"name {entry.model_name}", f"sha256 {entry.weights_sha256}"]
        keys = keys if entry.weights_sha256 else keys[:1]
        earlier = next((weights[key] for key in keys if key in weights), None)
        if earlier is not None:
            faults.add(
                "same-weights",
                where,
                f"({choice.model_name}) has the same weights as {MODELS_KEY}[{earlier}]; keep one",
            )
        for key in keys:
            weights.setdefault(key, choice.position)
    return tuple(first)


def check_model_count(submission: BlueSubmission, count: int | None, faults: Faults) -> None:
    """Check how many models are named; `count` None asks for two or more."""
    named = submission.named
    if not named:
        # Told already: there is no list.
        return
    if count is None and named < LEAST_SET:
        faults.add("wrong-count", f"`{MODELS_KEY}`", f"names {named}; name {LEAST_SET} or more")
    elif count is not None and named != count:
        faults.add("wrong-count", f"`{MODELS_KEY}`", f"names {named:,}; name exactly {count:,}")


def check_repeated_models(submission: BlueSubmission, faults: Faults) -> None:
    """Find ``duplicate-model`` by the names alone, where no registry is at hand."""
    first: dict[tuple[str, str | None], int] = {}
    for choice in submission.models:
        earlier = first.setdefault((choice.model_name, choice.layer_name), choice.position)
        if earlier != choice.position:
            faults.add("duplicate-model", *_again(choice, earlier))


def _again(choice: ModelChoice, earlier: int) -> tuple[str, str]:
    return (
        f"{MODELS_KEY}[{choice.position}]",
        f"names {quoted(choice.model_name)} again, which {MODELS_KEY}[{earlier}] names; keep one",
    )


def _same(one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    # As text, since Python takes true for 1.
    return _canonical(one) == _canonical(other)


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def _compact(value: Mapping[str, object]) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return "none" if not value else text if len(text) <= 100 else "too many to be shown"


def _unreadable(path: Path, what: str) -> BundleError:
    return BundleError(
        "registry-unreadable",
        f"The registry {path.name} {what}. Write it with the command that builds the reference "
        "data, or name another file.",
    )
