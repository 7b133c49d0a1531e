import hashlib
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from codabench_minibundle import (
    ENTRY,
    PNG,
    REPOSITORY,
    copy_repository,
    document,
    make_bundle,
    make_zip,
    picture,
    table,
    write_yaml,
)

from mimicry.codabench.competition import load_competition
from mimicry.codabench.packing import (
    PackedZip,
    ProgramSettings,
    check_packed,
    pack_competition,
    pack_submission,
    stage_program,
)
from mimicry.codabench.reachable import reachable_modules
from mimicry.errors import BundleError, MimicryError, SubmissionError

SETTINGS = ProgramSettings("hybrid", "Development", "hybrid", 300)
PROGRAMS = ("ingestion_program", *(f"scoring_program_{key}" for key in ("A", "mimic", "hybrid")))
# What the base container has, apart from the standard library.
PLATFORM = {"numpy", "PIL", "tqdm", "packaging", "sklearn", "pyrage"}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return make_bundle(tmp_path / "bundle")


def pack(bundle: Path, dist: str = "dist") -> PackedZip:
    return pack_competition(load_competition(bundle, "two-task"), bundle / dist)


class TestCompetition:
    def test_the_zip_holds_what_its_file_names_and_nothing_else(self, bundle: Path) -> None:
        (bundle / "secret.txt").write_text("x")
        (bundle / "scoring_program_x" / "__pycache__").mkdir()
        (bundle / "scoring_program_x" / "__pycache__" / "score.pyc").write_bytes(b"x")
        (bundle / "scoring_program_x" / ".DS_Store").write_bytes(b"x")
        packed = pack(bundle)
        with zipfile.ZipFile(packed.path) as archive:
            names = archive.namelist()
            data = yaml.safe_load(archive.read("competition.yaml"))
            phase = json.loads(archive.read("final-phase/ingestion_program/phase.json"))
            entry = archive.read("development/scoring_program_x/score.py").decode()
        programs = [
            f"{slug}/{program}/{name}"
            for slug in ("development", "final-phase")
            for program, script in (
                ("ingestion_program", "ingestion.py"),
                ("scoring_program_x", "score.py"),
            )
            for name in (
                script,
                "metadata.yaml",
                "phase.json",
                "mimicry/__init__.py",
                "mimicry/errors.py",
            )
        ]
        files = ["competition.yaml", "logo.png", "pages/overview.md", "pages/terms.md"]
        files += [
            f"{kind}/{name}.zip"
            for kind in ("input_data", "reference_data")
            for name in ("val", "test")
        ]
        assert names == sorted([*files, *programs])
        assert tuple(names) == packed.members
        assert phase == {
            "competition": "two-task",
            "phase": "Final phase",
            "task": "x",
            "execution_time_limit": 600,
            "results_page": "full",
            "sealed": False,
        }
        assert entry == ENTRY
        original = document()
        tasks = data.pop("tasks")
        assert tasks[1]["scoring_program"] == "final-phase/scoring_program_x"
        assert tasks[0]["ingestion_program"] == "development/ingestion_program"
        assert tasks[0]["input_data"] == original.pop("tasks")[0]["input_data"]
        assert data == original

    def test_hash_and_size_are_those_of_the_file(self, bundle: Path) -> None:
        packed = pack(bundle)
        data = packed.path.read_bytes()
        assert packed.path == bundle / "dist" / "mimicry-two-task.zip"
        assert (packed.sha256, packed.size) == (hashlib.sha256(data).hexdigest(), len(data))
        assert packed.warnings == ()

    def test_the_same_content_gives_the_same_bytes(self, tmp_path: Path) -> None:
        first = pack(make_bundle(tmp_path / "one"))
        before = os.umask(0o077)
        try:
            other = make_bundle(tmp_path / "two")
        finally:
            os.umask(before)
        for path in other.rglob("*"):
            os.utime(path, (1e9, 1e9))
        assert pack(other).sha256 == first.sha256
        (other / "pages" / "overview.md").write_text("# Changed\n")
        assert pack(other).sha256 != first.sha256

    def test_a_program_shared_by_tasks_of_a_phase_is_packed_once_for_each(
        self, bundle: Path
    ) -> None:
        data = document()
        data["tasks"].append(
            {**data["tasks"][0], "index": 2, "scoring_program": "scoring_program_y"}
        )
        data["phases"][0]["tasks"] = [0, 2]
        del data["phases"][1]["auto_migrate_to_this_phase"]
        write_yaml(bundle, data)
        (bundle / "scoring_program_x").rename(bundle / "scoring_program_y")
        make_bundle(bundle.parent / "other")
        (bundle.parent / "other" / "scoring_program_x").rename(bundle / "scoring_program_x")
        with zipfile.ZipFile(pack(bundle).path) as archive:
            for key in ("x", "y"):
                settings = archive.read(f"development/ingestion_program_{key}/phase.json")
                assert json.loads(settings)["task"] == key

    def test_downloads_and_solutions_are_carried_along(self, bundle: Path) -> None:
        data = document()
        data["phases"][0] |= {"public_data": "downloads/train.csv", "starting_kit": "kit"}
        data["solutions"] = [{"index": 0, "tasks": [0], "path": "solutions/one.zip"}]
        write_yaml(bundle, data)
        with pytest.raises(BundleError, match=r"downloads/train\.csv.*file-missing"):
            pack(bundle)
        for name in ("downloads/train.csv", "kit/a.py", "kit/sub/b.py", "solutions/one.zip"):
            (bundle / name).parent.mkdir(parents=True, exist_ok=True)
            (bundle / name).write_text(name)
        packed = pack(bundle)
        with zipfile.ZipFile(packed.path) as archive:
            for name in ("downloads/train.csv", "kit/a.py", "kit/sub/b.py", "solutions/one.zip"):
                assert archive.read(name).decode() == name
        (bundle / "kit" / "link").symlink_to("/etc/hostname")
        with pytest.raises(BundleError, match=r"kit/link.*file-missing"):
            pack(bundle)

    def test_an_editors_leftovers_are_no_downloads(self, bundle: Path) -> None:
        data = document()
        data["phases"][0]["starting_kit"] = "kit"
        write_yaml(bundle, data)
        (bundle / "kit/old.bak").mkdir(parents=True)
        for name in ("a.py", "a.py~", "a.ipynb.bak", "a.py.swp", "old.bak/b.py", "backup.py"):
            (bundle / "kit" / name).write_text(name)
        (bundle / "kit/link~").symlink_to("/etc/hostname")
        kit = {name for name in pack(bundle).members if name.startswith("kit/")}
        assert kit == {"kit/a.py", "kit/backup.py"}

    @pytest.mark.parametrize("role", ["public_data", "starting_kit", "solution"])
    def test_hidden_images_are_no_downloads(self, bundle: Path, role: str) -> None:
        data = document()
        if role == "solution":
            data["solutions"] = [{"index": 0, "tasks": [0], "path": "downloads"}]
        else:
            data["phases"][0][role] = "downloads"
        write_yaml(bundle, data)
        # Large enough for a picture that is nowhere else by chance.
        shown = PNG + bytes(300)
        images = {f"test{number}.jpg": picture(number) + bytes(300 + number) for number in range(4)}
        make_zip(bundle / "input_data/test.zip", images)
        make_zip(bundle / "downloads/train.zip", {"train/0.jpg": shown + b"x"})
        assert "downloads/train.zip" in pack(bundle).members
        before = pack(bundle).path.read_bytes()
        make_zip(bundle / "downloads/train.zip", {"train/0.jpg": images["test2.jpg"]})
        with pytest.raises(BundleError, match=r"test\.zip:test2\.jpg.*leak-input") as raised:
            pack(bundle)
        assert "downloads holds an image of the input data" in raised.value.sentence
        assert (bundle / "dist/mimicry-two-task.zip").read_bytes() == before

    def test_folders_of_data_are_not_packed(self, bundle: Path) -> None:
        data = document()
        data["tasks"][0]["input_data"] = "input_data/val"
        write_yaml(bundle, data)
        (bundle / "input_data/val").mkdir()
        with pytest.raises(BundleError, match=r"input_data/val is a folder.*data-zip"):
            pack(bundle)

    def test_long_limits_and_open_logs_are_warned_of(self, bundle: Path) -> None:
        data = document()
        data["phases"][1]["execution_time_limit"] = 601
        del data["phases"][0]["hide_prediction_output"]
        write_yaml(bundle, data)
        warnings = pack(bundle).warnings
        assert len(warnings) == 2
        assert "hide_prediction_output" in warnings[0] and "601" in warnings[1]
        write_yaml(bundle, data | {"queue": "0b6f3b6e-0000-4000-8000-000000000000"})
        assert len(pack(bundle).warnings) == 1

    def test_exif_is_warned_of(self, bundle: Path) -> None:
        members = {**dict.fromkeys(IMAGES, PNG), IMAGES[3]: picture(exif=b"Exif\0\0II*\0")}
        make_zip(bundle / "input_data/val.zip", members)
        (warning,) = pack(bundle).warnings
        assert "val.zip: 1 images carry EXIF (val3.jpg)" in warning


class TestPackedZip:
    @pytest.mark.parametrize(
        ("add", "drop"),
        [
            ("secret.txt", None),
            ("development/other_program/x.py", None),
            (None, "pages/overview.md"),
            (None, "input_data/val.zip"),
            (None, "development/ingestion_program/"),
        ],
    )
    def test_it_must_agree_with_its_file(
        self, bundle: Path, add: str | None, drop: str | None
    ) -> None:
        with zipfile.ZipFile(pack(bundle).path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        kept = {n: d for n, d in members.items() if not (drop and n.startswith(drop))}
        path = make_zip(bundle / "x.zip", kept | ({add: b"x"} if add else {}))
        with (
            zipfile.ZipFile(path) as archive,
            pytest.raises(BundleError, match="zip-inconsistent") as raised,
        ):
            check_packed(archive, "two-task")
        assert (add or str(drop).rstrip("/")) in raised.value.sentence

    def test_its_commands_must_name_scripts(self, bundle: Path) -> None:
        with zipfile.ZipFile(pack(bundle).path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        del members["final-phase/scoring_program_x/score.py"]
        path = make_zip(bundle / "x.zip", members)
        with (
            zipfile.ZipFile(path) as archive,
            pytest.raises(BundleError, match="final-phase/scoring_program_x"),
        ):
            check_packed(archive, "two-task")


def delete(*names: str) -> Callable[[Path], None]:
    def change(bundle: Path) -> None:
        for name in names:
            (bundle / name).unlink()

    return change


def zipped(name: str, members: dict[str, bytes]) -> Callable[[Path], None]:
    return lambda bundle: make_zip(bundle / name, members) and None


def written(name: str, text: str) -> Callable[[Path], None]:
    return lambda bundle: (bundle / name).write_text(text) and None


def task_in_two_phases(bundle: Path) -> None:
    data = document()
    data["phases"][1]["tasks"] = [0]
    write_yaml(bundle, data)


def damaged(bundle: Path) -> None:
    path = bundle / "input_data/val.zip"
    path.write_bytes(path.read_bytes().replace(b"IHDR", b"IHDX", 1))


def task_in_no_phase(bundle: Path) -> None:
    data = document()
    data["tasks"].append({**data["tasks"][0], "index": 2})
    write_yaml(bundle, data)


IMAGES = [f"val{number}.jpg" for number in range(4)]
LABELS = table(IMAGES)
FAULTS: list[tuple[str, Callable[[Path], None], str, str]] = [
    (
        "no data",
        delete("input_data/val.zip", "reference_data/test.zip"),
        "data-missing",
        r"input_data/val\.zip, reference_data/test\.zip: .*mimicry data demo.*organiser",
    ),
    ("no zip", written("input_data/val.zip", "x"), "data-zip", "Make it anew"),
    ("damaged", damaged, "data-zip", "CRC"),
    (
        "nested",
        zipped("input_data/val.zip", {f"val/{n}": b"x" for n in IMAGES}),
        "data-layout",
        r"folders.*4 of 4 entries \(val/val0\.jpg",
    ),
    (
        "clutter",
        zipped("input_data/val.zip", {**dict.fromkeys(IMAGES, PNG), ".DS_Store": b"x"}),
        "data-layout",
        r"clutter: 1 of 5 entries \(\.DS_Store\)",
    ),
    (
        "other names",
        zipped("input_data/val.zip", {f"x{n}.jpg": b"x" for n in range(7)}),
        "data-names",
        r"7 images .* names 4: 7 .*x4\.jpg and 2 more\), 4 labels .*val3\.jpg\)",
    ),
    (
        "one missing",
        zipped("input_data/val.zip", dict.fromkeys(IMAGES[1:], PNG)),
        "data-names",
        r"0 images without a label \(none\), 1 labels .*\(val0\.jpg\)",
    ),
    (
        "table among images",
        zipped("input_data/val.zip", {**dict.fromkeys(IMAGES, PNG), "val.csv": LABELS}),
        "data-names",
        r"val\.csv",
    ),
    (
        "table in an image",
        zipped("input_data/val.zip", {**dict.fromkeys(IMAGES, PNG), IMAGES[2]: PNG + LABELS}),
        "data-leak",
        r"val2\.jpg contains",
    ),
    (
        "no image",
        zipped("input_data/val.zip", {**dict.fromkeys(IMAGES, PNG), IMAGES[1]: b"x"}),
        "data-image",
        r"val1\.jpg cannot be opened",
    ),
    (
        "two tables",
        zipped("reference_data/val.zip", {"a.csv": LABELS, "b.csv": LABELS}),
        "data-reference",
        "exactly one CSV",
    ),
    (
        "table in a folder",
        zipped("reference_data/val.zip", {"a/a.csv": LABELS}),
        "data-reference",
        "at its root",
    ),
    (
        "no name column",
        zipped("reference_data/val.zip", {"a.csv": b"name,y\nval0.jpg,1\n"}),
        "data-reference",
        "no column `filename`",
    ),
    (
        "empty table",
        zipped("reference_data/val.zip", {"a.csv": b""}),
        "data-reference",
        "no column",
    ),
    (
        "no text",
        zipped("reference_data/val.zip", {"a.csv": b"filename\n\xff"}),
        "data-reference",
        "UTF-8",
    ),
    (
        "bad label",
        zipped("reference_data/val.zip", {"a.csv": LABELS.replace(b",1,", b",2,")}),
        "reference-label",
        "rows",
    ),
    ("no page", delete("pages/overview.md"), "file-missing", r"pages/overview\.md"),
    ("empty terms", written("pages/terms.md", ""), "file-missing", r"pages/terms\.md"),
    ("no logo", delete("logo.png"), "file-missing", r"logo\.png"),
    ("no metadata", delete("scoring_program_x/metadata.yaml"), "program-metadata", "no metadata"),
    (
        "list",
        written("scoring_program_x/metadata.yaml", "- command: x"),
        "program-metadata",
        "no mapping",
    ),
    (
        "no yaml",
        written("scoring_program_x/metadata.yaml", "a: ["),
        "program-metadata",
        "not YAML",
    ),
    ("no script", delete("ingestion_program/ingestion.py"), "program-metadata", r"'ingestion\.py'"),
    (
        "shell",
        written("scoring_program_x/metadata.yaml", "command: python3 score.py && ls"),
        "program-metadata",
        "without a shell",
    ),
    (
        "not executable",
        written("scoring_program_x/metadata.yaml", "command: ./score.py"),
        "program-metadata",
        "not be executable",
    ),
    (
        "no own script",
        written("scoring_program_x/metadata.yaml", "command: python3 -m other"),
        "program-metadata",
        "no script",
    ),
    (
        "syntax",
        written("scoring_program_x/score.py", "def\n"),
        "program-syntax",
        r"score\.py line 1",
    ),
    (
        "import",
        written("scoring_program_x/score.py", "import os\nimport mimicry.nothing\n"),
        "program-import",
        "line 2 imports mimicry.nothing",
    ),
    ("taken name", written("scoring_program_x/phase.json", "{}"), "program-files", "rename"),
    (
        "link",
        lambda b: (b / "scoring_program_x/l").symlink_to("/etc/hostname"),
        "program-files",
        "link",
    ),
    ("shared task", task_in_two_phases, "tasks-shared", "exactly one phase"),
    ("unused task", task_in_no_phase, "tasks-shared", "index 2 must be in exactly one phase"),
]


@pytest.mark.parametrize(
    ("change", "code", "part"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS]
)
def test_each_fault_is_named_and_nothing_is_written(
    bundle: Path, change: Callable[[Path], None], code: str, part: str
) -> None:
    change(bundle)
    with pytest.raises(BundleError, match=f"(?s){part}") as raised:
        pack(bundle)
    assert raised.value.code == code
    assert not (bundle / "dist").exists() or not list((bundle / "dist").iterdir())


class TestReachable:
    @pytest.fixture
    def package(self, tmp_path: Path) -> Path:
        root = tmp_path / "mimicry"
        for name, text in {
            "__init__.py": "",
            "a.py": "from . import b\nfrom .sub.deep import value\n",
            "b.py": "def f():\n    import mimicry.late\n    import numpy.linalg\n",
            "late.py": "",
            "named.py": "",
            "unused.py": "",
            "typed.py": "",
            "sub/__init__.py": "from ..base import x\n",
            "sub/deep.py": "from .near import y\n",
            "sub/near.py": "",
            "sub/other.py": "",
            "base.py": "",
        }.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return root

    def program(self, tmp_path: Path, text: str) -> Path:
        folder = tmp_path / "program"
        folder.mkdir()
        (folder / "entry.py").write_text(text)
        return folder

    @pytest.mark.parametrize(
        ("text", "modules"),
        [
            ("import json", []),
            ("import mimicry", ["__init__.py"]),
            ("import mimicry.late", ["__init__.py", "late.py"]),
            ("from mimicry import late", ["__init__.py", "late.py"]),
            ("from mimicry import something", ["__init__.py"]),
            ("run(['-m', 'mimicry.named'])", ["__init__.py", "named.py"]),
            ("print('mimicry.nothing', 'mimicry. ', 'mimicryx')", []),
            ("import mimicryx", []),
            (
                "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import mimicry.typed\n"
                "else:\n    import mimicry.late",
                ["__init__.py", "late.py"],
            ),
            ("import mimicry.sub", ["__init__.py", "base.py", "sub/__init__.py"]),
            (
                "import mimicry.a",
                [
                    *("__init__.py", "a.py", "b.py", "base.py", "late.py"),
                    *("sub/__init__.py", "sub/deep.py", "sub/near.py"),
                ],
            ),
        ],
    )
    def test_imports_are_followed(
        self, tmp_path: Path, package: Path, text: str, modules: list[str]
    ) -> None:
        found = reachable_modules(self.program(tmp_path, text), package)
        assert list(found.modules) == modules

    def test_imports_of_others_are_reported(self, tmp_path: Path, package: Path) -> None:
        found = reachable_modules(self.program(tmp_path, "import mimicry.a, os.path"), package)
        assert found.imported == {"os", "numpy"}

    def test_nothing_is_executed(self, tmp_path: Path, package: Path) -> None:
        program = self.program(tmp_path, f"open({str(tmp_path / 'ran')!r}, 'w')\nimport mimicry.b")
        (package / "b.py").write_text("raise SystemExit\n")
        reachable_modules(program, package)
        assert not (tmp_path / "ran").exists()

    @pytest.mark.parametrize("program", PROGRAMS)
    def test_our_programs_need_only_what_the_container_has(self, program: str) -> None:
        found = reachable_modules(REPOSITORY / program)
        assert found.modules
        assert found.imported - set(sys.stdlib_module_names) <= PLATFORM


@pytest.mark.parametrize(
    ("switch", "shown"),
    [
        ("hide_prediction_output", "full"),
        ("hide_output", "declared"),
        ("hide_score_output", "declared"),
    ],
)
def test_a_phase_that_hides_its_output_hides_it_on_the_page(
    bundle: Path, switch: str, shown: str
) -> None:
    path = bundle / "competition.yaml"
    changed = yaml.safe_load(path.read_text())
    changed["phases"][1][switch] = True
    path.write_text(yaml.safe_dump(changed))
    with zipfile.ZipFile(pack(bundle).path) as archive:
        for phase, wanted in (("development", "full"), ("final-phase", shown)):
            for program in ("ingestion_program", "scoring_program_x"):
                settings = json.loads(archive.read(f"{phase}/{program}/phase.json"))
                assert settings["results_page"] == wanted


class TestStaging:
    def test_a_staged_program_is_complete_by_itself(self, bundle: Path, tmp_path: Path) -> None:
        script = bundle / "scoring_program_x" / "score.py"
        script.write_text(
            "import json\nimport mimicry.errors, mimicry.files\n"
            "modules = mimicry, mimicry.errors, mimicry.files\n"
            "print(json.dumps([module.__file__ for module in modules]))\n"
        )
        stage_program(script.parent, tmp_path / "program", SETTINGS)
        # -S keeps the installed package away; the script's own folder stays on the path.
        done = subprocess.run(
            [sys.executable, "-S", "-E", str(tmp_path / "program" / "score.py")],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        for file in json.loads(done.stdout):
            assert Path(file).is_relative_to(tmp_path / "program" / "mimicry")

    def test_staged_and_packed_programs_are_the_same_files(
        self, bundle: Path, tmp_path: Path
    ) -> None:
        packed = pack(bundle)
        settings = ProgramSettings("two-task", "Development", "x", 300, "full")
        stage_program(bundle / "ingestion_program", tmp_path / "program", settings)
        staged = {
            path.relative_to(tmp_path / "program").as_posix(): path.read_bytes()
            for path in (tmp_path / "program").rglob("*")
            if path.is_file()
        }
        start = "development/ingestion_program/"
        with zipfile.ZipFile(packed.path) as archive:
            inside = {
                name.removeprefix(start): archive.read(name)
                for name in archive.namelist()
                if name.startswith(start)
            }
        assert staged == inside

    def test_a_program_without_the_package_is_just_copied(
        self, bundle: Path, tmp_path: Path
    ) -> None:
        (bundle / "scoring_program_x" / "score.py").write_text("print('done')\n")
        stage_program(bundle / "scoring_program_x", tmp_path / "program", SETTINGS)
        assert sorted(path.name for path in (tmp_path / "program").iterdir()) == [
            "metadata.yaml",
            "phase.json",
            "score.py",
        ]

    def test_a_folder_in_use_is_refused(self, bundle: Path, tmp_path: Path) -> None:
        (tmp_path / "program").mkdir()
        (tmp_path / "program" / "old.py").write_text("")
        with pytest.raises(BundleError, match="stage-not-empty"):
            stage_program(bundle / "scoring_program_x", tmp_path / "program", SETTINGS)

    def test_a_missing_program_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(BundleError, match="program-missing"):
            stage_program(tmp_path / "nothing", tmp_path / "program", SETTINGS)

    @pytest.mark.parametrize("program", PROGRAMS)
    def test_our_programs_start_from_their_packed_folder_alone(
        self, program: str, tmp_path: Path
    ) -> None:
        task = program.rpartition("_")[2] if program != "ingestion_program" else "A"
        folder = tmp_path / "program"
        stage_program(REPOSITORY / program, folder, ProgramSettings("c", "p", task, 300))
        (script,) = folder.glob("*.py")
        # Importing the script as a module runs its imports and not its main block.
        modules = [
            "mimicry."
            + path.relative_to(folder / "mimicry").with_suffix("").as_posix().replace("/", ".")
            for path in (folder / "mimicry").rglob("*.py")
            if path.name != "__init__.py"
        ]
        code = (
            f"import sys; sys.path.insert(0, {str(folder)!r})\n"
            f"import importlib\nfor name in {['mimicry', *modules, script.stem]!r}:\n"
            "    print(importlib.import_module(name).__file__)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert all(Path(line).is_relative_to(folder) for line in done.stdout.splitlines())


@pytest.mark.parametrize("id", ["two-task", "hybrid"])
def test_labels_of_another_task_are_refused(tmp_path: Path, id: str) -> None:
    bundle = copy_repository(tmp_path / "bundle")
    for name in ("val", "val_A", "test", "test_A"):
        labels = table([f"{n}.png" for n in range(6)])
        make_zip(bundle / f"reference_data/{name}.zip", {f"{name}.csv": labels})
    with pytest.raises(BundleError, match="reference-"):
        pack_competition(load_competition(bundle, id), tmp_path / "dist")


@pytest.mark.parametrize("id", ["two-task", "hybrid"])
def test_our_competitions_pack(tmp_path: Path, id: str) -> None:
    bundle = copy_repository(tmp_path / "bundle")
    packed = pack_competition(load_competition(bundle, id), tmp_path / "dist")
    assert packed.warnings == ()
    with zipfile.ZipFile(packed.path) as archive:
        folders = {tuple(name.split("/")[:2]) for name in archive.namelist() if "/" in name}
    suffixes = ("_A", "_mimic") if id == "two-task" else ("",)
    for slug in ("development", "final"):
        assert {(slug, f"ingestion_program{suffix}") for suffix in suffixes} <= folders
    # The word breaks the platform's storage.
    assert not any("private" in name.lower() for name in packed.members)


class TestSubmission:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        folder = tmp_path / "my_submission"
        folder.mkdir()
        (folder / "model.py").write_text("class Model: ...\n")
        (folder / "metadata").write_text("")
        (folder / "weights").mkdir()
        (folder / "weights" / "w.npz").write_bytes(bytes(1000))
        return folder

    def test_the_contents_are_packed_and_not_the_folder(self, folder: Path) -> None:
        for name in (".git", "__pycache__", "__MACOSX"):
            (folder / name).mkdir()
            (folder / name / "x").write_text("x")
        (folder / ".env").write_text("SECRET=1")
        packed = pack_submission(folder, folder.parent / "out.zip")
        assert packed.members == ("metadata", "model.py", "weights/w.npz")
        assert packed.warnings == ()
        with zipfile.ZipFile(packed.path) as archive:
            assert archive.namelist() == list(packed.members)
            assert archive.read("weights/w.npz") == bytes(1000)

    def test_by_default_it_lands_in_dist(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(folder.parent)
        assert pack_submission(folder, None).path == Path("dist/my_submission.zip")
        monkeypatch.chdir(folder)
        assert pack_submission(Path(), None).path == Path("dist/my_submission.zip")

    def test_twice_the_same_bytes_also_with_the_zip_inside(self, folder: Path) -> None:
        output = folder / "out.zip"
        first = pack_submission(folder, output)
        os.utime(folder / "model.py", (1e9, 1e9))
        (folder / "model.py").chmod(0o755)
        second = pack_submission(folder, output)
        assert first.sha256 == second.sha256
        assert "out.zip" not in second.members

    def test_a_wrapping_folder_is_taken_off_and_told(self, folder: Path) -> None:
        packed = pack_submission(folder.parent, folder.parent / "dist" / "out.zip")
        assert packed.members == ("metadata", "model.py", "weights/w.npz")
        assert len(packed.warnings) == 1 and "my_submission/" in packed.warnings[0]

    def test_missing_metadata_is_warned_of(self, folder: Path) -> None:
        (folder / "metadata").unlink()
        (warning,) = pack_submission(folder, folder.parent / "o.zip").warnings
        assert "copies the whole submission" in warning
        (folder / "metadata.yaml").write_text("")
        assert pack_submission(folder, folder.parent / "o.zip").warnings == ()

    def test_a_command_in_metadata_is_warned_of(self, folder: Path) -> None:
        (folder / "metadata").write_text("command: python3 model.py\n")
        (warning,) = pack_submission(folder, folder.parent / "o.zip").warnings
        assert "`command`" in warning
        for text in ("description: colour patterns\n: : [\n", "[" * 30_000, "2026-99-99"):
            (folder / "metadata").write_text(text)
            assert pack_submission(folder, folder.parent / "o.zip").warnings == ()

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            (lambda f: (f / "model.py").unlink(), "no-model-file"),
            (lambda f: (f / "data").symlink_to("/etc/hostname"), "submission-link"),
            (lambda f: (f / "data").symlink_to("nowhere"), "submission-link"),
            (lambda f: (f / os.fsdecode(b"w\xff.npz")).write_bytes(b""), "submission-name"),
            (lambda f: (f / "a\u202eb").write_bytes(b""), "submission-name"),
            (lambda f: (f / "/".join("d" * 61)).mkdir(parents=True), "submission-name"),
            (lambda f: (f / "loop").symlink_to("loop"), "submission-link"),
        ],
    )
    def test_faults(self, folder: Path, change: Callable[[Path], None], code: str) -> None:
        change(folder)
        with pytest.raises(SubmissionError) as raised:
            pack_submission(folder, folder.parent / "out.zip")
        assert raised.value.code == code
        assert not (folder.parent / "out.zip").exists()

    def test_no_folder(self, tmp_path: Path) -> None:
        with pytest.raises(MimicryError, match="submission-missing"):
            pack_submission(tmp_path / "nothing", None)
