"""Find the backbone's weights in the first of four places that has them.

1. `backbone/` in the submission itself;
2. the container: `/opt/weights/NAME/`, then the Hugging Face cache;
3. the worker's own data: `/app/data/weights/NAME/`;
4. the Hugging Face hub, where there is a network.

The cache and the hub are asked only where `settings.json` names a repository. Each place
holds what a repository on the hub holds: a configuration and a weights file. A competition's
runs usually have no network: one of the first three counts there.
"""

import hashlib
import tempfile
import threading
from pathlib import Path

CONTAINER = Path("/opt/weights")
WORKER = Path("/app/data/weights")
# A network that swallows everything must not eat the run's time limit.
PATIENCE = 20.0


class WeightsError(Exception):
    """No weights, or not those that the head was trained on."""


def find_weights(own, settings, config):
    """Return the folder with the backbone's files, and print which of the places it is.

    Parameters
    ----------
    own : Path
        The submission's folder.
    settings : dict
        What `settings.json` says: name, weights_file, weights_sha256 and hub (or null).
    config : str
        Name of the configuration file.

    Raises
    ------
    WeightsError
        None of the places has them; a place has half of them; their SHA-256 is not
        `weights_sha256`.
    """
    name, files = settings["name"], (config, settings["weights_file"])
    hub = settings["hub"] or {}
    repo, revision = hub.get("repo"), hub.get("revision") or "main"
    places = {
        "backbone/": lambda: own / "backbone",
        str(CONTAINER / name): lambda: CONTAINER / name,
        "the Hugging Face cache": lambda: cached(repo, revision, files),
        str(WORKER / name): lambda: WORKER / name,
        "the hub": lambda: downloaded(repo, revision, files),
    }
    if repo is None:
        del places["the Hugging Face cache"], places["the hub"]
    looked = []
    for place, find in places.items():
        try:
            folder = find()
            there = [file for file in files if folder and (folder / file).is_file()]
            if len(there) == 2:
                check(folder / files[1], settings.get("weights_sha256"), place)
        except OSError as error:
            # No network, or a place or a file that is closed to this process.
            looked.append(f"{place} ({error.strerror or error})")
            continue
        looked.append(place)
        if len(there) == 1:
            lacking = next(file for file in files if file not in there)
            raise WeightsError(f"{place} has {there[0]} but no {lacking}; put both files there")
        if there:
            print(f"weights of {name}: {place}, {files[1]}", flush=True)
            return folder
    # The remedy first: the platform shows the beginning of a long sentence.
    raise WeightsError(f"{remedy(repo, revision, files)}. Looked in {', '.join(looked)}")


def remedy(repo, revision, files):
    """Say how the weights get into the submission."""
    if repo is None:
        return (
            f"no weights: put {' and '.join(files)} of the network that the head was trained on "
            "into backbone/, or train anew with examples/training/train.py"
        )
    at = f" --revision {revision}" if revision != "main" else ""
    return (
        "no weights: with a network, run in the submission's folder "
        f"`hf download {repo} {' '.join(files)}{at} --local-dir backbone`"
    )


def check(path, expected, place):
    """Refuse a weights file with another SHA-256 than the head was trained on."""
    # Opened in any case: a file that is closed to this process is as good as none.
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest() if expected else expected
    if found != expected:
        raise WeightsError(
            f"the head was trained on other weights than {path.name} in {place}: its SHA-256 is "
            f"{found[:12]}..., settings.json says {expected[:12]}... . Put the right file there, "
            "or train the head anew on this one with examples/training/train.py"
        )


def cached(repo, revision, files):
    """Return the folder of a snapshot that was downloaded before, without any network."""
    from huggingface_hub import try_to_load_from_cache

    paths = [try_to_load_from_cache(repo, file, revision=revision) for file in files]
    # Half of a snapshot is a download that was interrupted: the hub goes on with it.
    return Path(paths[0]).parent if all(isinstance(path, str) for path in paths) else None


def downloaded(repo, revision, files):
    """Return the folder of a snapshot from the hub; OSError where it cannot be had."""
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.utils import get_session

    place = cache_folder(constants.HF_HUB_CACHE)
    answer = []

    def ask():
        try:
            # A download is tried for half a minute; this tells at once that there is no network.
            get_session().head(constants.ENDPOINT, timeout=PATIENCE / 2)
            answer.append(hf_hub_download(repo, files[0], revision=revision, cache_dir=place))
        except Exception as error:
            answer.append(error)

    # In a thread that can be left behind: looking up a host's name has no time limit.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(PATIENCE)
    if not answer:
        raise TimeoutError(f"no answer in {PATIENCE:.0f} s")
    if isinstance(answer[0], Exception):
        raise unreachable(answer[0])
    folder = Path(answer[0]).parent
    try:
        # The same commit, even where somebody is just changing the repository.
        hf_hub_download(repo, files[1], revision=folder.name, cache_dir=place)
    except Exception as error:
        raise unreachable(error) from error
    return folder


def cache_folder(cache):
    """Return the cache, or a temporary folder where the container's cannot be written."""
    try:
        Path(cache).mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=cache).close()
    except OSError:
        return tempfile.mkdtemp(prefix="hub-")
    return cache


def unreachable(error):
    """Return an error that says in a word why the hub gave nothing."""
    from huggingface_hub.utils import LocalEntryNotFoundError

    if isinstance(error, LocalEntryNotFoundError):
        # The library's word whatever came, be it the page of a proxy; the cause tells what.
        error = error.__cause__ or error
        answer = getattr(error, "response", None)
        if answer is not None:
            return OSError(f"it answered {answer.status_code}")
        if type(error).__name__ == "FileMetadataError":
            return OSError("what answered is no hub")
    return OSError(type(error).__name__)
