"""Reference data: what is wrong with them is the organiser's, and told by file."""

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from realign_stage import CATALOGUE, REGISTRY, entry, write_blue, write_red, write_rules

from mimicry.activations.stimuli import Stimulus, catalogue_text
from mimicry.errors import BundleError
from mimicry.realign.reference import read_blue_reference, read_red_reference, rows_of

Spoil = Callable[[Path], object]


def test_blue_reference_data(tmp_path: Path) -> None:
    cka, unbiased, replicates = write_blue(tmp_path)
    reference = read_blue_reference(tmp_path)
    assert [entry.model_name for entry in reference.registry.entries] == [
        entry["model_name"] for entry in REGISTRY
    ]
    np.testing.assert_array_equal(reference.cka, cka)
    np.testing.assert_array_equal(reference.cka_unbiased, unbiased)
    np.testing.assert_array_equal(reference.replicates, replicates)


def spoil_matrix(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Spoil:
    return lambda folder: np.save(folder / name, change(np.load(folder / name)))


def put(array: np.ndarray, at: tuple[int, int], value: float) -> np.ndarray:
    array[at] = value
    return array


def both_ways(name: str, value: float) -> Spoil:
    return spoil_matrix(name, lambda m: put(put(m, (0, 1), value), (1, 0), value))


def with_checksum(name: str, *, spoilt: bool = False) -> Spoil:
    """Give the rules a file's SHA-256, then change the file if asked to."""

    def spoil(folder: Path) -> None:
        data = (folder / name).read_bytes()
        rules = json.loads((folder / "rules.json").read_text())
        write_rules(folder, rules | {"sha256": {name: hashlib.sha256(data).hexdigest()}})
        # White space at the end of lists, the last digits of numbers.
        (folder / name).write_bytes(_changed(data) if spoilt else data)

    return spoil


def _changed(data: bytes) -> bytes:
    if not data.startswith(b"\x93NUMPY"):
        return data + b"\n"
    return data[:-16] + bytes([data[-16] ^ 1]) + data[-15:]


OPTIMUM = {"value": 0.9, "upper_bound": 0.95, "proved": False}
# Each failed in another way when NumPy read it.
HEADER = "{'descr': '<f8', 'fortran_order': False, 'shape': %s, }"


def npy(header: str) -> bytes:
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + b"\0" * 288


BROKEN = [
    b"PK\x03\x04no zip",
    b"PK\x05\x06" + b"\0" * 17,
    npy(HEADER % "(-1, 6)"),
    npy(HEADER % "(99999999999999999999, 99999999999999999999)"),
    npy(HEADER % "(4611686018427387904, 4)"),
    npy(HEADER % "(True, 12)"),
    npy(HEADER % "(6, 6)").replace(b"'<f8'", b"'|O8'"),
    npy("(((("),
    npy("(" * 100),
    npy(""),
    b"\x93NUMPY",
    b"\x93NUMPY\x09\x00",
    b"",
]


@pytest.mark.parametrize("data", BROKEN)
@pytest.mark.parametrize("name", ["cka.npy", "cka_unbiased.npy", "replicates.npy"])
def test_no_broken_matrix_is_a_traceback(tmp_path: Path, data: bytes, name: str) -> None:
    write_blue(tmp_path)
    (tmp_path / name).write_bytes(data)
    with pytest.raises(BundleError) as caught:
        read_blue_reference(tmp_path)
    assert caught.value.code in ("matrix-unreadable", "matrix-invalid")
    assert name in caught.value.sentence


@pytest.mark.parametrize("data", BROKEN)
def test_no_broken_activations_are_a_traceback(tmp_path: Path, data: bytes) -> None:
    write_red(tmp_path)
    (tmp_path / "models/01.npy").write_bytes(data)
    with pytest.raises(BundleError) as caught:
        read_red_reference(tmp_path, tmp_path)
    assert caught.value.code == "activations-invalid" and "01.npy" in caught.value.sentence


def test_matrices_in_fortran_order_are_read(tmp_path: Path) -> None:
    cka, _, replicates = write_blue(tmp_path)
    np.save(tmp_path / "cka.npy", np.asfortranarray(cka))
    np.save(tmp_path / "replicates.npy", np.asfortranarray(replicates))
    reference = read_blue_reference(tmp_path)
    np.testing.assert_array_equal(reference.cka, cka)
    np.testing.assert_array_equal(reference.replicates, replicates)


def test_a_model_with_constant_features_is_like_none(tmp_path: Path) -> None:
    cka, unbiased, _ = write_blue(tmp_path)
    for name, matrix in (("cka.npy", cka), ("cka_unbiased.npy", unbiased)):
        matrix[2] = matrix[:, 2] = 0
        np.save(tmp_path / name, matrix)
    assert read_blue_reference(tmp_path).cka[2, 2] == 0


def test_checksums_that_agree(tmp_path: Path) -> None:
    write_blue(tmp_path)
    for name in ("cka.npy", "cka_unbiased.npy", "registry.json"):
        with_checksum(name)(tmp_path)
        read_blue_reference(tmp_path)
    write_red(tmp_path / "red")
    with_checksum("catalogue.jsonl")(tmp_path / "red")
    read_red_reference(tmp_path / "red", tmp_path)


@pytest.mark.parametrize(
    ("spoil", "code", "part"),
    [
        (lambda f: (f / "rules.json").unlink(), "rules-unreadable", "is missing"),
        (lambda f: (f / "registry.json").unlink(), "registry-unreadable", "is missing"),
        (lambda f: (f / "registry.json").write_text("{"), "registry-unreadable", "no JSON"),
        (lambda f: (f / "registry.json").write_text("[{}]"), "registry-invalid", "entry 0"),
        (
            lambda f: (f / "registry.json").write_text(json.dumps([entry("a")] * 2)),
            "registry-invalid",
            "same model and layer",
        ),
        (lambda f: (f / "cka.npy").unlink(), "matrix-unreadable", "cka.npy"),
        (lambda f: (f / "cka.npy").write_bytes(b"no"), "matrix-unreadable", "or no array"),
        (
            lambda f: np.save(f / "cka.npy", np.array([{}]), allow_pickle=True),
            "matrix-unreadable",
            "cka.npy",
        ),
        (
            lambda f: np.savez((f / "cka.npy").open("wb"), np.eye(6)),
            "matrix-unreadable",
            "several arrays",
        ),
        (spoil_matrix("cka.npy", lambda m: m[:5, :5]), "matrix-invalid", "6 models"),
        (spoil_matrix("cka.npy", lambda m: m.astype(np.float32)), "matrix-invalid", "float32"),
        (spoil_matrix("cka.npy", lambda m: put(m, (1, 2), 1.0)), "matrix-invalid", "symmetric"),
        (spoil_matrix("cka.npy", lambda m: m * 2), "matrix-invalid", "outside of 0 to 1"),
        (
            spoil_matrix("cka_unbiased.npy", lambda m: put(m, (0, 0), np.nan)),
            "matrix-invalid",
            "cka_unbiased.npy of the reference data holds values that are not finite",
        ),
        (
            with_checksum("cka.npy", spoilt=True),
            "matrix-invalid",
            "cka.npy of the reference data is not",
        ),
        (with_checksum("cka_unbiased.npy", spoilt=True), "matrix-invalid", "is not the file"),
        (with_checksum("registry.json", spoilt=True), "registry-invalid", "its SHA-256"),
        (lambda f: write_blue(f, count=7), "rules-invalid", "asks for 7 models"),
        (lambda f: write_blue(f, optimum=OPTIMUM | {"upper_bound": 1.01}), "rules-invalid", "at m"),
        (
            lambda f: write_blue(
                f,
                rule="largest_set",
                count=None,
                threshold=0.5,
                optimum=OPTIMUM | {"upper_bound": 7},
            ),
            "rules-invalid",
            "an optimum above 6",
        ),
        (spoil_matrix("cka.npy", lambda m: m * 0.9), "matrix-invalid", "model 0 with itself"),
        (spoil_matrix("cka.npy", lambda m: put(m, (2, 2), 0)), "matrix-invalid", "model 2 with"),
        (both_ways("cka_unbiased.npy", 1.1), "matrix-invalid", "outside of -1 to 1"),
        (both_ways("cka_unbiased.npy", -2), "matrix-invalid", "outside of -1 to 1"),
        (spoil_matrix("cka.npy", lambda m: m.astype(">f8")), "matrix-invalid", ">f8"),
        (spoil_matrix("replicates.npy", lambda r: r[:, :-1]), "matrix-invalid", "21 values"),
        (spoil_matrix("replicates.npy", lambda r: r[:1]), "matrix-invalid", "two or more"),
        (spoil_matrix("replicates.npy", lambda r: r.astype(float)), "matrix-invalid", "float64"),
    ],
)
def test_spoilt_blue_reference_data(tmp_path: Path, spoil: Spoil, code: str, part: str) -> None:
    write_blue(tmp_path)
    spoil(tmp_path)
    with pytest.raises(BundleError) as caught:
        read_blue_reference(tmp_path)
    assert caught.value.code == code and part in caught.value.sentence


def test_scoring_blue_needs_the_optimum(tmp_path: Path) -> None:
    write_blue(tmp_path, optimum=None)
    with pytest.raises(BundleError, match="has no optimum"):
        read_blue_reference(tmp_path)


def test_red_reference_data_are_mapped(tmp_path: Path) -> None:
    arrays = write_red(tmp_path)
    reference = read_red_reference(tmp_path, tmp_path / "data")
    assert len(reference.catalogue) == len(CATALOGUE)
    rows = np.array([0, 7, 39])
    for mapped, whole in zip(reference.activations, arrays, strict=True):
        assert isinstance(mapped.base, np.memmap) or isinstance(mapped, np.memmap)
        np.testing.assert_array_equal(rows_of(mapped, rows, "x"), whole[rows].astype(np.float64))


@pytest.mark.parametrize(
    ("spoil", "code", "part"),
    [
        (lambda f: (f / "catalogue.jsonl").unlink(), "catalogue-unreadable", "catalogue"),
        (lambda f: (f / "catalogue.jsonl").write_text("{}\n"), "catalogue-row", "line 1"),
        (
            lambda f: [(f / "models" / f"0{i}.npy").unlink() for i in (0, 1)],
            "activations-missing",
            "holds 1 arrays",
        ),
        (with_checksum("catalogue.jsonl", spoilt=True), "catalogue-unreadable", "its SHA-256"),
        (
            lambda f: np.save(f / "models/01.npy", np.zeros((40, 3), ">f4")),
            "activations-invalid",
            "holds >f4",
        ),
        (
            lambda f: np.save(f / "models/01.npy", np.zeros((40, 3), np.float32, order="F")),
            "activations-invalid",
            "column by column",
        ),
        (lambda f: (f / "models").rename(f / "m"), "activations-missing", "cannot be read"),
        (
            lambda f: np.save(f / "models/01.npy", np.zeros((39, 3), np.float32)),
            "activations-invalid",
            "01.npy of the secret models' activations has the shape (39, 3)",
        ),
        (
            lambda f: np.save(f / "models/01.npy", np.zeros((40, 3))),
            "activations-invalid",
            "float64",
        ),
        (
            lambda f: np.save(f / "models/01.npy", np.zeros(40, np.float32)),
            "activations-invalid",
            "shape (40,)",
        ),
        (
            lambda f: (f / "models/02.npy").write_bytes((f / "models/02.npy").read_bytes()[:-1]),
            "activations-invalid",
            "damaged, cut off or no array",
        ),
    ],
)
def test_spoilt_red_reference_data(tmp_path: Path, spoil: Spoil, code: str, part: str) -> None:
    write_red(tmp_path)
    spoil(tmp_path)
    with pytest.raises(BundleError) as caught:
        read_red_reference(tmp_path, tmp_path / "data")
    assert caught.value.code == code and part in caught.value.sentence


def test_red_rules_must_fit_the_catalogue(tmp_path: Path) -> None:
    write_red(tmp_path, count=41)
    with pytest.raises(BundleError, match="asks for 41 different stimuli"):
        read_red_reference(tmp_path, tmp_path)
    write_red(tmp_path, random=None)
    with pytest.raises(BundleError, match="no random draws"):
        read_red_reference(tmp_path, tmp_path)


def test_activations_that_are_not_finite(tmp_path: Path) -> None:
    values = np.ones((3, 2), np.float32)
    values[1, 1] = np.inf
    assert rows_of(values, np.array([0, 2]), "x").shape == (2, 2)
    with pytest.raises(BundleError, match="not finite"):
        rows_of(values, np.array([0, 1]), "x")


def on_the_worker(folder: Path) -> Path:
    """Move the activations to where a worker has them; return that folder."""
    write_red(folder, activations="/app/data/red/dev")
    there = folder / "data" / "red" / "dev"
    there.parent.mkdir(parents=True)
    (folder / "models").rename(there)
    listed = [
        {"file": path.name, "sha256": "0" * 64, "size": path.stat().st_size}
        for path in sorted(there.iterdir())
    ]
    (there / "models.json").write_text(json.dumps({"models": listed}))
    return there


def test_activations_on_the_worker(tmp_path: Path) -> None:
    on_the_worker(tmp_path)
    assert len(read_red_reference(tmp_path, tmp_path / "data").activations) == 3


@pytest.mark.parametrize(
    ("spoil", "code", "part"),
    [
        (lambda f: f.rename(f.with_name("x")), "activations-missing", "on the worker"),
        (lambda f: (f / "models.json").unlink(), "activations-invalid", "models.json"),
        (lambda f: (f / "models.json").write_text("[1]"), "activations-invalid", "is no object"),
        *(
            (lambda f, text=text: (f / "models.json").write_text(text), "activations-invalid", part)
            for text, part in (
                ('{"models": [{"file": 1, "size": "x"}]}', ".npy"),
                ('{"models": [{"file": [], "size": []}, {"file": {}, "size": 1}]}', ".npy"),
                ('{"models": 7}', "is no object"),
                ('{"models": "abc"}', "is no object"),
                ('{"models": null}', "is no object"),
                ("[" * 100_000, "is no object"),
            )
        ),
        (
            lambda f: [(f / "01.npy").unlink(), (f / "01.npy").symlink_to("01.npy")],
            "activations-invalid",
            "01.npy",
        ),
        (lambda f: (f / "01.npy").unlink(), "activations-invalid", "01.npy"),
        (lambda f: np.save(f / "03.npy", np.zeros(3)), "activations-invalid", "03.npy"),
        (lambda f: (f / "00.npy").open("ab").write(b"x"), "activations-invalid", "another size"),
    ],
)
def test_a_spoilt_worker_folder(tmp_path: Path, spoil: Spoil, code: str, part: str) -> None:
    spoil(on_the_worker(tmp_path))
    with pytest.raises(BundleError) as caught:
        read_red_reference(tmp_path, tmp_path / "data")
    assert caught.value.code == code and part in caught.value.sentence


def test_a_whole_catalogue_is_read_in_a_second(tmp_path: Path) -> None:
    stimuli = [
        Stimulus("imagenet_val", f"ILSVRC2012_val_{i:08d}.JPEG", f"{i:064x}", f"n{i % 1000}", i)
        for i in range(100_273)
    ]
    write_red(tmp_path)
    (tmp_path / "catalogue.jsonl").write_text(catalogue_text(stimuli))
    for number in range(3):
        np.save(tmp_path / f"models/{number:02d}.npy", np.zeros((100_273, 2), np.float16))
    before = time.process_time()
    assert len(read_red_reference(tmp_path, tmp_path).catalogue) == 100_273
    # Processor time, which a busy machine changes little; about 0.7 s.
    assert time.process_time() - before < 3


def test_the_public_rules_of_a_folder_are_not_reference_data(tmp_path: Path) -> None:
    write_rules(tmp_path, {"competition": "blue", "rule": "mean_cka", "count": 3})
    with pytest.raises(BundleError, match="rules-invalid"):
        read_blue_reference(tmp_path)
