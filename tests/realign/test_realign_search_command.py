"""`mimicry realign search`: submissions that their own competitions accept."""

import json
import os
import signal
import subprocess
import sys
import time

import click
import numpy as np
import pytest
from realign_store import ENTRIES, TWINS, make_store

from mimicry.activations.reading import open_store, stored_stimuli
from mimicry.activations.registry import read_registry
from mimicry.activations.store_sets import find_store_set
from mimicry.cli import main
from mimicry.commands import realign_search
from mimicry.realign.catalogue import Catalogue, check_images
from mimicry.realign.documents import parse_object
from mimicry.realign.registered import Registry, check_models
from mimicry.realign.stored import stored_models, weight_groups
from mimicry.realign.submissions import Faults, read_blue, read_red
from mimicry.similarity import mean_pairwise, similarity_matrix

SEARCH = ["realign", "search"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("search")
    make_store(folder)
    return folder


@pytest.fixture(scope="module")
def matrix(root):
    models = stored_models(find_store_set(root / "store"), read_registry(root / "registry.json"))
    found = similarity_matrix([one.activations for one in models], "cka", dtype="float64")
    np.save(root / "cka.npy", found)
    return found


def run(*arguments):
    return main([*SEARCH, *map(str, arguments)])


def accepted_blue(path, registry, count):
    """Read a submission as the competition does."""
    faults = Faults()
    submission = read_blue(parse_object(path.read_bytes()), faults)
    rows = check_models(submission, Registry(read_registry(registry)), count, faults)
    faults.refuse(path.name)
    return rows


def test_blue_from_a_store_is_the_best_set_without_twins(root, tmp_path, capsys):
    output = tmp_path / "blue.json"
    store, registry = root / "store", root / "registry.json"
    assert run("blue", "--store", store, "--count", 3, "--output", output) == 0
    assert "proved optimal" in capsys.readouterr().out
    rows = accepted_blue(output, registry, 3)
    assert len(set(rows) & TWINS) == 1
    document = json.loads(output.read_text())
    metadata = document["metadata"]
    models = stored_models(find_store_set(store), read_registry(registry))
    of_rows = [models[row].activations for row in rows]
    assert metadata["predicted_score"] == pytest.approx(
        mean_pairwise(similarity_matrix(of_rows, "cka", dtype="float64")), abs=1e-9
    )
    assert metadata["proved"] and metadata["upper_bound"] == metadata["predicted_score"]
    assert document["methodology"] and "team_name" not in document
    first = output.read_bytes()
    assert run("blue", "--store", store, "--count", 3, "--output", output) == 0
    assert output.read_bytes() == first


def test_blue_from_a_matrix_agrees_with_the_store(root, matrix, tmp_path):
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps({"competition": "blue", "rule": "mean_cka", "count": 2}))
    for place, name in ((rules, "one.json"), (tmp_path, "two.json")):
        arguments = ["--matrix", root / "cka.npy", "--registry", root / "registry.json"]
        arguments += ["--rules", place, "--output", tmp_path / name, "--team-name", "The Blues"]
        assert run("blue", *arguments) == 0
    document = json.loads((tmp_path / "one.json").read_text())
    assert document == json.loads((tmp_path / "two.json").read_text())
    assert document["team_name"] == "The Blues"
    rows = accepted_blue(tmp_path / "one.json", root / "registry.json", 2)
    # The stored entries know the weights; the registry's own file does not.
    pairs = [(i, j) for i in range(4) for j in range(i)]
    assert matrix[rows] == pytest.approx(max(matrix[pair] for pair in pairs))


def test_the_largest_set_is_written_too(root, matrix, tmp_path, capsys):
    output = tmp_path / "set.json"
    arguments = ["--matrix", root / "cka.npy", "--registry", root / "registry.json"]
    upper = matrix[np.triu_indices(4, k=1)]
    threshold = float(np.sort(upper)[-2])
    assert run("blue", *arguments, "--threshold", threshold, "--output", output) == 0
    rows = accepted_blue(output, root / "registry.json", None)
    document = json.loads(output.read_text())
    assert document["metadata"]["rule"] == "largest_set"
    assert document["metadata"]["predicted_score"] == len(rows) >= 2
    assert all(matrix[i, j] >= threshold for i in rows for j in rows)
    capsys.readouterr()
    if upper.max() < 1:
        assert run("blue", *arguments, "--threshold", 1, "--output", tmp_path / "none.json") == 4
        assert "search-no-set" in capsys.readouterr().err
        assert not (tmp_path / "none.json").exists()


def test_red_is_accepted_and_has_the_score_it_tells(root, tmp_path, capsys):
    output = tmp_path / "red.json"
    arguments = ["--store", root / "store", "--count", 8, "--output", output, "--patience", 5]
    assert run("red", *arguments, "--team-name", "Reds") == 0
    assert "mean CKA of 4 models" in capsys.readouterr().out
    store_set = find_store_set(root / "store")
    stimuli = stored_stimuli(store_set)
    faults = Faults()
    submission = read_red(parse_object(output.read_bytes()), faults)
    rows = check_images(submission, Catalogue(stimuli), 8, faults)
    faults.refuse(output.name)
    chosen = [one.rows(np.array(rows)) for one in open_store(store_set)]
    metadata = json.loads(output.read_text())["metadata"]
    value = mean_pairwise(similarity_matrix(chosen, "cka", dtype="float64"))
    assert metadata["predicted_mean_cka"] == pytest.approx(value, abs=1e-9)
    assert metadata["predicted_score"] == 1 - metadata["predicted_mean_cka"]
    assert (metadata["n_images"], metadata["n_candidates"]) == (8, 24)
    assert sorted(metadata["proxy_models"]) == sorted(one["model_name"] for one in ENTRIES)
    first = output.read_bytes()
    assert run("red", *arguments, "--team-name", "Reds") == 0
    assert output.read_bytes() == first


def test_red_looks_at_the_models_and_rules_it_is_told(root, tmp_path):
    (tmp_path / "rules.json").write_text('{"competition":"red","rule":"mean_cka","count":5}')
    output = tmp_path / "red.json"
    arguments = ["--models", "test_*", "--rules", tmp_path, "--patience", 2]
    assert run("red", "--store", root / "store", *arguments, "--output", output) == 0
    document = json.loads(output.read_text())
    assert document["metadata"]["proxy_models"] == ["test_efficientnet", "test_resnet"]
    assert len(document["differentiating_images"]) == 5


def test_red_goes_on_from_its_checkpoint(root, tmp_path, capsys):
    output, state = tmp_path / "red.json", tmp_path / "state"
    common = ["--store", root / "store", "--count", 8, "--patience", 5]
    assert run("red", *common, "--output", tmp_path / "whole.json") == 0
    common += ["--checkpoint", state, "--output", output]
    assert run("red", *common, "--seconds", 0) == 0
    assert "deadline" in capsys.readouterr().out
    assert state.is_file() and output.is_file()
    assert run("red", *common) == 0
    assert output.read_bytes() == (tmp_path / "whole.json").read_bytes()
    assert run("red", *common, "--seed", 1) == 4
    assert "search-checkpoint-other" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [([], ""), (["--checkpoint", "state"], " The same command goes on from the best set and")],
    ids=["without", "with"],
)
def test_an_interrupted_blue_search_says_how_to_go_on(
    root, tmp_path, capsys, monkeypatch, arguments, hint
):
    from mimicry.realign.search import blue

    found = blue.best_models

    def pressed(*given, **options):
        return found(*given, **options)._replace(stopped="interrupted")

    monkeypatch.setattr(blue, "best_models", pressed)
    monkeypatch.chdir(tmp_path)
    output = tmp_path / "blue.json"
    command = ["--store", root / "store", "--count", 2, "--output", output, *arguments]
    assert run("blue", *command) == 130
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "Interrupted." if not hint else last.startswith(f"Interrupted.{hint}")
    assert output.is_file()


def test_a_search_is_not_silent_between_reports(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr(realign_search.time, "monotonic", lambda: now[0])
    with click.Context(realign_search.search) as context:
        voice = realign_search._Voice(context)
        voice.say(lambda: "first")
        for now[0], word in ((4.0, "early"), (6.0, "one"), (15.0, "soon"), (16.5, "two")):
            voice.say(lambda word=word: word)
        assert capsys.readouterr().err == "one\ntwo\n"
        now[0] = 30.0
        # Nobody says anything more.
        deadline = time.perf_counter() + 20
        said = ""
        while not said and time.perf_counter() < deadline:
            time.sleep(0.05)
            said = capsys.readouterr().err
        assert said == "two\n"
    now[0] = 60.0
    voice.say(lambda: "ended")
    assert capsys.readouterr().err == ""


def test_ctrl_c_writes_the_best_so_far(root, tmp_path):
    output = tmp_path / "red.json"
    command = [sys.executable, "-m", "mimicry.cli", *SEARCH, "red", "--store", root / "store"]
    command += ["--count", "8", "--patience", "1000000", "--checkpoint", tmp_path / "state"]
    command += ["--output", output]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        # The first state is written after five seconds of search.
        deadline = time.monotonic() + 60
        while not (tmp_path / "state").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "(interrupted)" in out
    last = err.rstrip().splitlines()[-1]
    assert last == "Interrupted. The same command goes on where it stopped."
    assert len(json.loads(output.read_text())["differentiating_images"]) == 8


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["blue", "--output", "x.json"], "either --matrix or --store"),
        (["blue", "--matrix", "{root}/cka.npy", "--output", "x.json"], "needs --registry"),
        (
            ["blue", "--store", "{root}", "--count", "2", "--threshold", "0", "--output", "x.json"],
            "only one of --count",
        ),
        (["blue", "--store", "{root}/store", "--count", "1", "--output", "x.json"], "x>=2"),
        (["red", "--output", "x.json"], "--store"),
        (["red", "--store", "{root}/store"], "--output"),
        (["red", "--store", "{root}/store", "--memory", "many", "--output", "x.json"], "many"),
        (["red", "--store", "{root}/store", "--output", "none/x.json"], "no folder none"),
        (
            ["red", "--store", "{root}/store", "--checkpoint", "none/x", "--output", "x.json"],
            "no folder none",
        ),
        (
            ["red", "--store", "{root}/store", "--team-name", "", "--output", "x.json"],
            "characters",
        ),
        (
            ["red", "--store", "{root}/store", "--rules", "{root}/cka.npy", "--output", "x.json"],
            "rules.json",
        ),
    ],
)
def test_wrong_usage_is_told(root, matrix, tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    assert run(*(text.format(root=root) for text in arguments)) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["red", "--store", "{root}/store", "--count", "24"], "search-count"),
        (["red", "--store", "{root}/store", "--models", "test_resnet"], "search-models"),
        (["red", "--store", "{root}/images"], "activations-missing"),
        (["blue", "--store", "{root}/store", "--count", "4"], "search-count"),
        (["blue", "--store", "{root}/store", "--models", "test_resnet"], "search-models"),
        (["blue", "--store", "{root}/store", "--models", "none"], "build-unknown-model"),
    ],
)
def test_what_the_store_cannot_give_is_told(root, tmp_path, capsys, arguments, code):
    output = tmp_path / "x.json"
    assert run(*(text.format(root=root) for text in arguments), "--output", output) == 4
    assert f"[{code}]" in capsys.readouterr().err
    assert not output.exists()


@pytest.mark.parametrize(
    "write",
    [
        lambda path: np.save(path, np.ones((3, 3))),
        lambda path: np.save(path, np.full((4, 4), np.nan)),
        lambda path: np.save(path, np.arange(16.0).reshape(4, 4)),
        lambda path: np.save(path, np.array([["a"] * 4] * 4)),
        lambda path: np.save(path, np.array([{}], dtype=object), allow_pickle=True),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"no array"),
    ],
)
def test_a_matrix_that_is_none_of_the_registry_is_refused(root, tmp_path, capsys, write):
    path = tmp_path / "m.npy"
    write(path)
    arguments = ["--matrix", path, "--registry", root / "registry.json", "--count", 2]
    assert run("blue", *arguments, "--output", tmp_path / "x.json") == 4
    err = capsys.readouterr().err
    assert "[search-matrix]" in err and len(err.strip().splitlines()) == 1


def test_models_with_the_same_weights_are_one_group(root):
    models = stored_models(find_store_set(root / "store"), read_registry(root / "registry.json"))
    groups = weight_groups([one.entry for one in models])
    assert [row for row in range(4) if groups.count(groups[row]) == 2] == sorted(TWINS)


@pytest.mark.parametrize("command", [[], ["blue"], ["red"]])
def test_the_help_shows_examples(command, capsys):
    assert run(*command, "--help") == 0
    assert "mimicry realign search" in capsys.readouterr().out
