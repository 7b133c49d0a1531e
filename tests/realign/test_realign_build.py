"""Reference data from a store: the numbers, the files, and what cannot be built from."""

import io
import itertools
import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from realign_store import ENTRIES, TWINS, entries_of_store, make_store, write_entries

from mimicry.activations.manifest import read_manifest, write_manifest
from mimicry.activations.reading import open_store
from mimicry.activations.registry import read_registry
from mimicry.activations.store_sets import find_store_set
from mimicry.errors import BundleError
from mimicry.files import sha256_file
from mimicry.realign.build import BlueOptions, RedOptions, build_blue, build_red
from mimicry.realign.reference import read_blue_reference, read_red_reference
from mimicry.realign.rules import read_rules
from mimicry.realign.sizes import LARGE, QUOTA, Part, SizeReport, size_text

BLUE = BlueOptions(count=2, replicates=8)
RED = RedOptions(count=10, draws=5, models=("test_*",))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that tests only read."""
    root = tmp_path_factory.mktemp("made")
    make_store(root)
    return root


@pytest.fixture
def own(made: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    shutil.copytree(made, tmp_path / "own")
    return tmp_path / "own"


def naive_cka(x: Any, y: Any) -> float:
    x, y = np.asarray(x, float), np.asarray(y, float)
    centring = np.eye(len(x)) - 1 / len(x)
    k, m = centring @ x @ x.T @ centring, centring @ y @ y.T @ centring
    return float((k * m).sum() / np.sqrt((k * k).sum() * (m * m).sum()))


def arrays(made: Path) -> dict[str, Any]:
    found = open_store(find_store_set(made / "store"))
    return {one.model_name: np.asarray(one) for one in found}


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def load(data: bytes) -> Any:
    return np.load(io.BytesIO(data), allow_pickle=False)


def unpack(path: Path, folder: Path) -> Path:
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
    return folder


def blue(root: Path, target: Path, options: BlueOptions = BLUE, **changes: Any) -> Any:
    entries = changes.get("entries") or entries_of_store(root)
    return build_blue(root / "store", entries, target / "blue.zip", target / "public", options)


def red(root: Path, target: Path, options: RedOptions = RED, **more: Any) -> Any:
    return build_red(root / "store", target / "red.zip", target / "public", options, **more)


class TestBlue:
    def test_the_matrices_are_those_of_the_registry_in_its_order(
        self, made: Path, tmp_path: Path
    ) -> None:
        built = blue(made, tmp_path)
        files, rows = members(built.output), arrays(made)
        names = [one["model_name"] for one in ENTRIES]
        assert list(built.models) == names
        cka, unbiased = load(files["cka.npy"]), load(files["cka_unbiased.npy"])
        for i, j in itertools.combinations(range(len(names)), 2):
            assert cka[i, j] == pytest.approx(naive_cka(rows[names[i]], rows[names[j]]), abs=1e-9)
        assert unbiased[0, 3] < cka[0, 3]
        replicates = load(files["replicates.npy"])
        assert replicates.shape == (8, 10) and replicates.dtype == np.float32
        # The upper triangle row by row: the second value is the pair of the first two.
        spread = replicates[:, 1].std()
        assert abs(replicates[:, 1].mean() - cka[0, 1]) < 4 * spread

    def test_the_optimum_is_the_best_pair_without_two_names_of_one_model(
        self, made: Path, tmp_path: Path
    ) -> None:
        built = blue(made, tmp_path)
        cka = load(members(built.output)["cka.npy"])
        assert cka[1, 2] == pytest.approx(1.0)
        best = max(cka[i, j] for i, j in itertools.combinations(range(4), 2) if {i, j} != TWINS)
        optimum = built.rules["optimum"]
        assert optimum["value"] == pytest.approx(best) == optimum["upper_bound"]
        assert optimum["proved"]

    def test_the_registry_tells_the_weights(self, made: Path, tmp_path: Path) -> None:
        built = blue(made, tmp_path)
        found = read_registry(tmp_path / "public" / "registry.json")
        assert members(built.output)["registry.json"] == built.public[0].read_bytes()
        assert found[1].weights_sha256 == found[2].weights_sha256 != found[0].weights_sha256
        assert all(one.weights_sha256 for one in found)
        assert [one.weights for one in found] == [one["weights"] for one in ENTRIES]

    def test_scoring_reads_what_was_built(self, made: Path, tmp_path: Path) -> None:
        built = blue(made, tmp_path)
        reference = read_blue_reference(unpack(built.output, tmp_path / "ref"))
        assert len(reference.registry) == 4
        public = read_rules(tmp_path / "public", "blue")
        # Only the organiser's copy, and reading it compares them.
        assert set(built.rules["sha256"]) == {"cka.npy", "cka_unbiased.npy", "registry.json"}
        assert not public.checksums
        assert public.count == 2 and public.optimum is None  # type: ignore[union-attr]

    def test_the_same_store_gives_the_same_bytes(self, made: Path, tmp_path: Path) -> None:
        one, other = blue(made, tmp_path / "a"), blue(made, tmp_path / "b")
        assert one.output.read_bytes() == other.output.read_bytes()

    def test_largest_set(self, made: Path, tmp_path: Path) -> None:
        options = BlueOptions(rule="largest_set", threshold=0.0, replicates=2)
        built = blue(made, tmp_path, options)
        # Everything reaches 0, and two of the four are one model.
        assert built.rules["optimum"]["value"] == 3
        assert "count" not in built.rules
        assert read_rules(tmp_path / "public", "blue").threshold == 0.0  # type: ignore[union-attr]

    def test_some_of_the_registry(self, made: Path, tmp_path: Path) -> None:
        built = blue(made, tmp_path, BlueOptions(count=2, replicates=2, models=("test_*",)))
        assert built.models == ("test_resnet", "test_efficientnet")

    @pytest.mark.parametrize(
        ("options", "code"),
        [
            (BlueOptions(count=4, replicates=2), "build-few-models"),
            (BlueOptions(count=1), "build-option"),
            (BlueOptions(replicates=1), "build-option"),
            (BlueOptions(threshold=1.5), "build-option"),
            (BlueOptions(count=2, models=("nobody*",)), "build-unknown-model"),
        ],
    )
    def test_options_that_cannot_be(
        self, made: Path, tmp_path: Path, options: BlueOptions, code: str
    ) -> None:
        with pytest.raises(BundleError) as caught:
            blue(made, tmp_path, options)
        assert caught.value.code == code
        assert not (tmp_path / "blue.zip").exists()

    @pytest.mark.parametrize(
        ("entries", "code"),
        [
            (ENTRIES[:3], "build-not-registered"),
            ([*ENTRIES, ENTRIES[0] | {"model_name": "resnet10t"}], "build-not-extracted"),
            ([ENTRIES[0], ENTRIES[1] | {"pooling": "mean"}, *ENTRIES[2:]], "build-other-entry"),
        ],
    )
    def test_a_registry_of_other_models(
        self, made: Path, tmp_path: Path, entries: list[dict[str, Any]], code: str
    ) -> None:
        registry = read_registry(write_entries(tmp_path / "registry.json", entries))
        with pytest.raises(BundleError) as caught:
            blue(made, tmp_path, entries=registry)
        assert caught.value.code == code

    def test_phases_share_their_public_data(self, made: Path, tmp_path: Path) -> None:
        blue(made, tmp_path)
        blue(made, tmp_path, BlueOptions(count=2, replicates=4))
        with pytest.raises(BundleError) as caught:
            blue(made, tmp_path, BlueOptions(count=3, replicates=4))
        assert caught.value.code == "public-data-differ"


class TestStores:
    def test_one_that_is_not_complete(self, own: Path, tmp_path: Path) -> None:
        cache = next((own / "store").glob("*/test_resnet*"))
        next(cache.glob("shard-*.npy")).unlink()
        with pytest.raises(BundleError) as caught:
            blue(own, tmp_path)
        assert caught.value.code == "activations-damaged"

    def test_caches_over_other_stimuli(self, own: Path, tmp_path: Path) -> None:
        listed = next((own / "store").glob("*/stimuli.jsonl"))
        lines = listed.read_text().splitlines(keepends=True)
        listed.write_text("".join(lines[:-1]))
        with pytest.raises(BundleError) as caught:
            blue(own, tmp_path)
        assert caught.value.code == "activations-stimuli"

    def test_two_caches_of_one_model(self, own: Path, tmp_path: Path) -> None:
        from realign_store import write_images

        from mimicry.activations.extract import Settings
        from mimicry.activations.extraction import extract_activations

        write_images(own / "images")
        again = Settings(device="cpu", threads=1, dtype="float16")
        extract_activations(
            own / "registry.json",
            [("made", own / "images")],
            own / "store",
            models=["test_resnet"],
            settings=again,
            progress=False,
        ).check()
        with pytest.raises(BundleError) as caught:
            blue(own, tmp_path)
        assert caught.value.code == "build-several-caches"

    def test_several_lists_of_stimuli(self, own: Path, tmp_path: Path) -> None:
        first = find_store_set(own / "store")
        shutil.copytree(first, first.with_name("another"))
        with pytest.raises(BundleError) as caught:
            find_store_set(own / "store")
        assert caught.value.code == "store-several-sets"

    def test_no_store(self, tmp_path: Path) -> None:
        with pytest.raises(BundleError) as caught:
            find_store_set(tmp_path)
        assert caught.value.code == "activations-missing"

    def test_numbers_that_are_none(self, own: Path, tmp_path: Path) -> None:
        shard = next((own / "store").glob("*/test_resnet*/shard-*.npy"))
        data = bytearray(shard.read_bytes())
        data[-4:] = np.float32(np.nan).tobytes()
        shard.write_bytes(bytes(data))
        manifest = read_manifest(shard.parent)
        assert manifest is not None
        *others, last = manifest.shards
        changed = replace(last, sha256=sha256_file(shard))
        write_manifest(shard.parent, manifest.with_shards(*others, changed))
        for build in (lambda: blue(own, tmp_path), lambda: red(own, tmp_path)):
            with pytest.raises(BundleError) as caught:
                build()
            assert caught.value.code == "activations-not-finite"


class TestRed:
    def test_arrays_are_numbered_and_as_stored(self, made: Path, tmp_path: Path) -> None:
        built = red(made, tmp_path)
        files, rows = members(built.output), arrays(made)
        assert built.models == ("test_efficientnet", "test_resnet")
        for number, name in enumerate(built.models):
            assert np.array_equal(load(files[f"models/{number:02d}.npy"]), rows[name])
        assert set(files) == {
            "catalogue.jsonl", "models/00.npy", "models/01.npy", "rules.json",
        }  # fmt: skip
        assert not any(b"test_resnet" in data for data in files.values())

    def test_random_draws_never_take_an_image_twice(self, made: Path, tmp_path: Path) -> None:
        # 23 different images: all of them are the only draw of so many.
        built = red(made, tmp_path, RedOptions(count=23, draws=3, models=("test_*",)))
        rows = arrays(made)
        x, y = (rows[name] for name in built.models)
        stimuli = [
            json.loads(line) for line in members(built.output)["catalogue.jsonl"].splitlines()
        ]
        first = {one["sha256"]: row for row, one in reversed(list(enumerate(stimuli)))}
        chosen = sorted(first.values())
        assert len(chosen) == 23
        expected = 1 - naive_cka(x[chosen], y[chosen])
        random = built.rules["random"]
        assert random["mean"] == pytest.approx(expected, abs=1e-9)
        assert random["standard_deviation"] == pytest.approx(0, abs=1e-9)
        assert random["draws"] == 3

    def test_too_few_different_images(self, made: Path, tmp_path: Path) -> None:
        with pytest.raises(BundleError) as caught:
            red(made, tmp_path, RedOptions(count=24, draws=3))
        assert caught.value.code == "build-few-stimuli"

    def test_one_secret_model_is_no_pair(self, made: Path, tmp_path: Path) -> None:
        with pytest.raises(BundleError) as caught:
            red(made, tmp_path, RedOptions(count=10, models=("test_resnet",)))
        assert caught.value.code == "build-few-models"

    def test_activations_on_the_worker(self, made: Path, tmp_path: Path) -> None:
        folder = tmp_path / "worker" / "red_final"
        options = RedOptions(
            count=10, draws=3, models=("test_*",), dtype="float16", activations=folder
        )
        built = red(made, tmp_path, options)
        assert built.rules["activations"] == "/app/data/red_final"
        assert set(members(built.output)) == {"catalogue.jsonl", "rules.json"}
        unpack(built.output, tmp_path / "ref")
        reference = read_red_reference(tmp_path / "ref", tmp_path / "worker")
        assert [a.dtype for a in reference.activations] == [np.float16, np.float16]
        assert any("to be put on the worker" in line for line in built.sizes.lines())
        with pytest.raises(BundleError) as caught:
            red(made, tmp_path, options)
        assert caught.value.code == "build-folder-taken"

    def test_the_same_store_gives_the_same_bytes(self, made: Path, tmp_path: Path) -> None:
        one, other = red(made, tmp_path / "a"), red(made, tmp_path / "b")
        assert one.output.read_bytes() == other.output.read_bytes()


class TestSizes:
    def test_parts_add_up(self, made: Path, tmp_path: Path) -> None:
        built = red(made, tmp_path)
        sizes = {part.name: part for part in built.sizes.parts}
        assert set(sizes) == {"catalogue.jsonl", "models/", "rules.json"}
        assert sizes["models/"].files == 2
        assert built.sizes.unpacked == sum(map(len, members(built.output).values()))
        assert built.sizes.zip_bytes == built.output.stat().st_size
        assert not built.sizes.warnings()

    def test_warnings_come_with_size(self) -> None:
        def report(size: int) -> str:
            return " ".join(SizeReport(size, (Part("models/", 20, size, size),)).warnings())

        assert "--activations" not in report(LARGE)
        assert "--activations" in report(LARGE + 1)
        assert "quota" not in report(QUOTA // 2)
        assert "quota" in report(QUOTA // 2 + 1)

    @pytest.mark.parametrize(
        ("size", "text"),
        [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (15 * 10**9, "15.0 GB")],
    )
    def test_decimal_units(self, size: int, text: str) -> None:
        assert size_text(size) == text


def test_what_is_the_demos_is_called_so(made: Path, tmp_path: Path) -> None:
    output, public = tmp_path / "reference_data" / "blue_final.zip", tmp_path / "public_data/blue"
    registry = entries_of_store(made)
    build_blue(made / "store", registry, output, public, BLUE)
    paths = [output, public / "registry.json", public / "rules.json"]
    record = {
        "files": {path.relative_to(tmp_path).as_posix(): [sha256_file(path)] for path in paths}
    }
    zoo = tmp_path / "demo_data" / "zoo"
    zoo.mkdir(parents=True)
    (zoo / "manifest.json").write_text(json.dumps(record))
    told: list[str] = []
    build_blue(made / "store", registry, output, public, BLUE, say=told.append)
    assert f"replaces the demo's {output}" in told
    other = BlueOptions(count=3, replicates=8)
    with pytest.raises(BundleError) as caught:
        build_blue(made / "store", registry, output, public, other)
    assert caught.value.code == "public-data-differ"
    assert "`mimicry data clean` first" in caught.value.sentence
    # What was changed since is nobody's demo.
    (public / "rules.json").write_text("{}")
    with pytest.raises(BundleError) as caught:
        build_blue(made / "store", registry, output, public, other)
    assert "data clean" not in caught.value.sentence
