"""Which backbone a submission stands on: the baseline's own small one, a folder, or the hub."""

import importlib.util
import json
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from mimicry.activations.entries import INTERPOLATIONS, Preprocess
from mimicry.errors import SubmissionError
from mimicry.files import sha256_file

SETTINGS = "settings.json"
OWN = "backbone"


class Hub(NamedTuple):
    """Where the full-size backbone of a baseline is published, and at which size it is used."""

    repo: str
    revision: str
    size: int


_BIOCLIP = Hub("imageomics/bioclip", "main", 224)
HUBS = {
    "BioCLIP": _BIOCLIP,
    "DINO_SGD": Hub("timm/vit_base_patch14_dinov2.lvd142m", "main", 224),
    "anomaly": _BIOCLIP,
}


class Family(NamedTuple):
    """The files of a kind of backbone, as a hub's folder holds them."""

    config: str
    weights: tuple[str, ...]


TIMM = Family("config.json", ("model.safetensors",))
OPEN_CLIP = Family(
    "open_clip_config.json", ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
)


_SPOKEN = re.compile(r"(README|LICEN[CS]E|NOTICE)(\.(md|txt|rst))?$", re.IGNORECASE)
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Backbone:
    """A pretrained network: its code, its files and how images are prepared for it.

    Attributes
    ----------
    code : Path
        The baseline's folder, which holds ``backbone.py``.
    weights : Path
        The folder with configuration and weights.
    name : str
        By which the submission looks for the weights elsewhere.
    hub : dict or None
        ``repo`` and ``revision`` as ``settings.json`` names them, None where it is on no hub.
    weights_file, weights_sha256 : str
        The file with the weights, and its fingerprint.
    preprocess : Preprocess
        `crop` is the side in pixels to which images are squashed.
    batch_size : int
        Images that the submission predicts at once.
    """

    code: Path
    weights: Path
    name: str
    hub: dict[str, str] | None
    weights_file: str
    weights_sha256: str
    preprocess: Preprocess
    batch_size: int

    def needed(self) -> tuple[Path, Path]:
        """Return the files without which it cannot be loaded: configuration and weights."""
        return (
            self.weights / family_of(self.weights_file).config,
            self.weights / self.weights_file,
        )

    def files(self) -> tuple[Path, ...]:
        """Return what a submission needs of the folder, and what says whose work it is."""
        spoken = (path for path in self.weights.iterdir() if _SPOKEN.match(path.name))
        return (*self.needed(), *sorted(spoken))

    def settings(self) -> dict[str, Any]:
        """Return what ``settings.json`` of a submission on this backbone says."""
        return {
            "name": self.name,
            "hub": self.hub,
            "weights_file": self.weights_file,
            "weights_sha256": self.weights_sha256,
            "preprocess": {
                "size": self.preprocess.crop,
                "mean": list(self.preprocess.mean),
                "std": list(self.preprocess.std),
                "interpolation": self.preprocess.interpolation,
            },
            "batch_size": self.batch_size,
        }


def own_backbone(baseline: Path) -> Backbone:
    """Return the small backbone that a baseline carries.

    Raises
    ------
    SubmissionError
        ``baseline-incomplete`` or ``backbone-changed``.
    """
    said = read_settings(baseline)
    folder = baseline / OWN
    file = folder / said["weights_file"]
    for needed in (file, folder / family_of(said["weights_file"]).config):
        if not needed.is_file():
            raise SubmissionError(
                "baseline-incomplete",
                f"{baseline} has no {OWN}/{needed.name}; put it back, or name a backbone with "
                "--weights or --hub.",
            )
    digest = sha256_file(file)
    if digest != said["weights_sha256"]:
        raise SubmissionError(
            "backbone-changed",
            f"{file} is not the file that {SETTINGS} vouches for (its SHA-256 differs); put the "
            "right one back, or name the folder with --weights to use it as another backbone.",
        )
    return Backbone(
        code=baseline,
        weights=folder,
        name=said["name"],
        hub=said["hub"],
        weights_file=said["weights_file"],
        weights_sha256=digest,
        preprocess=_preprocess(said["preprocess"], said["preprocess"]["size"]),
        batch_size=said["batch_size"],
    )


def backbone_in(
    baseline: Path, folder: Path, *, name: str, size: int, hub: dict[str, str] | None = None
) -> Backbone:
    """Return the backbone in a folder that holds what a hub's would.

    Mean, spread and filter come from the folder's own configuration; where that says
    nothing of them, they are the baseline's, as of the same family.

    Parameters
    ----------
    baseline : Path
        Whose code is to load it.
    folder : Path
        With the configuration and the weights of the baseline's family.
    name : str
        What the backbone is to be called.
    size : int
        Side in pixels to which images are squashed.
    hub : dict, optional
        Where it is from.

    Raises
    ------
    SubmissionError
        ``backbone-files`` when the folder lacks a file or its configuration is none.
    """
    said = read_settings(baseline)
    family = family_of(said["weights_file"])
    weights_file = next((one for one in family.weights if (folder / one).is_file()), None)
    if weights_file is None or not (folder / family.config).is_file():
        raise SubmissionError(
            "backbone-files",
            f"{folder} does not hold what {baseline.name} loads: {family.config} and "
            f"{' or '.join(family.weights)}; name such a folder.",
        )
    return Backbone(
        code=baseline,
        weights=folder,
        name=name,
        hub=hub,
        weights_file=weights_file,
        weights_sha256=sha256_file(folder / weights_file),
        preprocess=_preprocess(said["preprocess"] | _configured(folder / family.config), size),
        batch_size=said["batch_size"],
    )


def hub_backbone(baseline: Path, hub: Hub) -> Backbone:
    """Return a backbone that is published on the Hugging Face hub.

    The baseline's own ``find_weights.py`` gets it: from the container or the cache where it
    is there already, else from the hub. The settings name the very revision that came.

    Raises
    ------
    SubmissionError
        ``backbone-unavailable``, with all places that were looked at.
    """
    finder = load_module(baseline / "find_weights.py")
    said = read_settings(baseline)
    family = family_of(said["weights_file"])
    name = hub.repo.rpartition("/")[2]
    source = {"repo": hub.repo, "revision": hub.revision}
    problem = ""
    # Not the baseline's folder, where its small backbone would be found first.
    with tempfile.TemporaryDirectory() as nothing:
        for weights_file in family.weights:
            wanted = {"name": name, "hub": source, "weights_file": weights_file}
            try:
                folder = Path(finder.find_weights(Path(nothing), wanted, family.config))
            except finder.WeightsError as error:
                # Older repositories have the weights under the second name.
                problem = problem or str(error)
                continue
            if _COMMIT.fullmatch(folder.name):
                source = source | {"revision": folder.name}
            return backbone_in(baseline, folder, name=name, size=hub.size, hub=source)
    # What the baseline advises is for a submission that is made already.
    places = problem.partition("Looked in ")[2] or problem
    raise SubmissionError(
        "backbone-unavailable",
        f"The backbone {hub.repo} cannot be had; looked in {places}. With a network, run "
        f"`hf download {hub.repo} --local-dir weights/{name}`, then give --weights weights/{name} "
        "instead of --hub.",
    )


def family_of(weights_file: str) -> Family:
    """Return the family of a backbone by the name of its weights."""
    return OPEN_CLIP if weights_file in OPEN_CLIP.weights else TIMM


def read_settings(baseline: Path) -> dict[str, Any]:
    """Return what a baseline's ``settings.json`` says.

    Raises
    ------
    SubmissionError
        ``baseline-incomplete`` when there is none or a part is missing.
    """
    path = baseline / SETTINGS
    try:
        said: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        needed = {"name", "hub", "weights_file", "weights_sha256", "preprocess", "batch_size"}
        missing = sorted(needed - set(said))
        if missing:
            raise ValueError(f"it lacks {', '.join(missing)}")
    except (OSError, ValueError, TypeError) as error:
        raise SubmissionError(
            "baseline-incomplete", f"{path} cannot be used ({error}); name a whole baseline."
        ) from error
    return said


def load_module(path: Path) -> ModuleType:
    """Import a file of a baseline by its path, under a name of its own."""
    spec = importlib.util.spec_from_file_location(f"{path.parent.name}_{path.stem}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise SubmissionError("baseline-incomplete", f"There is no {path}; name a whole baseline.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _configured(path: Path) -> dict[str, Any]:
    """Return mean, std and interpolation as far as a hub's configuration states them."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        said = document.get("preprocess_cfg") or document.get("pretrained_cfg") or {}
        found = {key: said[key] for key in ("mean", "std", "interpolation") if key in said}
    except (OSError, ValueError, AttributeError) as error:
        raise SubmissionError(
            "backbone-files", f"{path} is no configuration of a model ({error})."
        ) from error
    return found


def _preprocess(said: dict[str, Any], size: int) -> Preprocess:
    interpolation = next((one for one in INTERPOLATIONS if one == said["interpolation"]), None)
    if interpolation is None:
        raise SubmissionError(
            "backbone-files",
            f"The backbone wants images resized by {said['interpolation']!r}, which only "
            f"{', '.join(INTERPOLATIONS)} can stand for.",
        )
    mean, std = (tuple(float(value) for value in said[key]) for key in ("mean", "std"))
    return Preprocess(
        resize=size,
        crop=size,
        mean=(mean[0], mean[1], mean[2]),
        std=(std[0], std[1], std[2]),
        interpolation=interpolation,
        aspect="squash",
    )
