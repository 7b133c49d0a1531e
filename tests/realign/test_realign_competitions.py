"""competitions/blue.yaml and red.yaml: what they say, what pages and workflows say, a whole run."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from realign_store import entries_of_store, make_store

from mimicry.codabench.competition import Competition, load_competition
from mimicry.codabench.packing import pack_competition
from mimicry.codabench.validation.report import validate_bundle
from mimicry.commands.realign import realign
from mimicry.realign.build import BlueOptions, RedOptions, build_blue, build_red
from mimicry.realign.columns import BLUE_COLUMNS, RED_COLUMNS

ROOT = Path(__file__).resolve().parents[2]
TEAMS = ("blue", "red")
PAGES = ("overview", "data", "evaluation", "leaderboard", "submission")
NAMED = (
    "competitions", "pages", "competition.yaml", "logo.png", "ingestion_program",
    "scoring_program_blue", "scoring_program_red",
)  # fmt: skip


def page(name: str, team: str) -> str:
    return (ROOT / "pages" / f"{name}-{team}.md").read_text(encoding="utf-8")


def table_after(text: str, heading: str) -> list[list[str]]:
    lines = text.splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith(heading))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


@pytest.fixture(params=TEAMS)
def team(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def competition(team: str) -> Competition:
    return load_competition(ROOT, team)


class TestFile:
    def test_each_phase_has_one_task_that_only_scores(
        self, competition: Competition, team: str
    ) -> None:
        development, final = competition.phases
        assert [phase.name for phase in competition.phases] == ["Development", "Final"]
        for phase in (development, final):
            (task,) = phase.tasks
            assert task.ingestion_program is None and task.input_data is None
            assert task.reference_data is not None
            assert task.reference_data.name == f"{team}_{phase.slug}.zip"
            assert phase.public_data == ROOT / "public_data" / team
        assert final.auto_migrate and not development.auto_migrate
        assert final.hide_output and final.hide_prediction_output and final.hide_score_output

    def test_the_board_has_the_programs_columns(self, competition: Competition, team: str) -> None:
        board = competition.leaderboard
        written = BLUE_COLUMNS if team == "blue" else RED_COLUMNS
        assert [(column.key, column.title) for column in board.columns] == [
            (column.key, column.title) for column in written
        ]
        assert board.primary.key == "score" and board.submission_rule == "Force_Best"
        assert all(len(column.title) <= 36 for column in board.columns)

    def test_quotas_and_dates_are_those_of_the_other_ranked_form(
        self, competition: Competition
    ) -> None:
        hybrid = load_competition(ROOT, "hybrid")
        # Scoring needs no torch.
        assert competition.docker_image == hybrid.docker_image.replace("/torch:", "/core:")
        for mine, theirs in zip(competition.phases, hybrid.phases, strict=True):
            for name in ("start", "end", "max_submissions", "max_submissions_per_day"):
                assert getattr(mine, name) == getattr(theirs, name)


class TestPages:
    def test_they_are_the_tabs(self, competition: Competition, team: str) -> None:
        named = [one["file"] for one in competition.document["pages"]]
        own = [f"pages/{name}-{team}.md" for name in PAGES]
        assert named == [*own, "pages/errors-realign.md"]

    def test_phases(self, competition: Competition, team: str) -> None:
        def minutes(moment: Any) -> str:
            return str(moment.strftime("%Y-%m-%d %H:%M"))

        assert table_after(page("overview", team), "| Phase | Begins | Ends |") == [
            [
                phase.name, minutes(phase.start), minutes(phase.end),
                str(phase.max_submissions_per_day), str(phase.max_submissions),
                f"{phase.execution_time_limit} s",
            ]
            for phase in competition.phases
        ]  # fmt: skip

    def test_columns(self, competition: Competition, team: str) -> None:
        rows = table_after(page("leaderboard", team), "| Column | Title | Better |")
        better = {"desc": "higher", "asc": "lower"}
        assert [row[:4] for row in rows] == [
            [f"`{c.key}`", c.title, better[c.sorting], str(c.precision)]
            for c in competition.leaderboard.columns
        ]
        assert [row[0] for row in rows if "this ranks" in row[4]] == ["`score`"]
        assert f"(`{competition.leaderboard.submission_rule}`)" in page("leaderboard", team)

    @pytest.mark.parametrize("name", PAGES)
    def test_they_work_where_they_are_shown(self, team: str, name: str) -> None:
        text = page(name, team)
        # Files of the bundle are not served, and a pair of dollar signs is LaTeX.
        assert not re.findall(r"\]\((?!https://|#|mailto:)|<img", text)
        assert all(line.count("$") < 2 for line in text.splitlines())

    def test_the_example_is_of_the_right_form(self, team: str) -> None:
        from mimicry.realign.submissions import Faults, read_blue, read_red

        faults = Faults()
        example = json.loads(re.findall(r"```json\n(.*?)```", page("submission", team), re.S)[0])
        (read_blue if team == "blue" else read_red)(example, faults)
        assert not faults.count

    def test_commands_exist(self, team: str) -> None:
        texts = [page(name, team) for name in PAGES]
        texts += [
            (ROOT / folder / "README.md").read_text()
            for folder in (f"{team}_team_submissions", "public_data")
        ]
        found = [line for text in texts for line in commands_in(text)]
        assert {line.split()[0] for line in found} >= {"check", "realign", "data"}
        for line in found:
            check_command(line)


def commands_in(text: str) -> list[str]:
    code = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL))
    return re.findall(r"\bmimicry ([a-z][^\n`]*)", code)


def check_command(line: str) -> None:
    from mimicry.cli import cli

    words = line.split()
    # Found by themselves too, so that the room does not depend on how it is hung up.
    command: click.Command = realign if words[0] == "realign" else cli.commands[words[0]]
    words = words[1:]
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        command = command.commands[words.pop(0)]
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    assert set(re.findall(r"--[a-z-]+", " ".join(words))) <= known, line


class TestWorkflows:
    @pytest.fixture(params=["realign-submissions", "realign-report"])
    def workflow(self, request: pytest.FixtureRequest) -> dict[Any, Any]:
        path = ROOT / ".github" / "workflows" / f"{request.param}.yml"
        return dict(yaml.safe_load(path.read_text(encoding="utf-8")))

    def steps(self, workflow: dict[Any, Any]) -> list[dict[str, Any]]:
        return [step for job in workflow["jobs"].values() for step in job["steps"]]

    def test_no_strangers_text_gets_into_a_script(self, workflow: dict[Any, Any]) -> None:
        assert self.steps(workflow)
        for step in self.steps(workflow):
            assert "${{" not in step.get("run", "")

    def test_the_rights_of_both(self) -> None:
        folder = ROOT / ".github" / "workflows"
        check = yaml.safe_load((folder / "realign-submissions.yml").read_text())
        report = yaml.safe_load((folder / "realign-report.yml").read_text())
        # YAML reads the key `on` as true.
        assert set(check[True]) == {"pull_request"} and set(report[True]) == {"workflow_run"}
        assert check["permissions"] == {"contents": "read"}
        assert all("permissions" not in job for job in check["jobs"].values())
        assert report["permissions"] == {}
        assert report["jobs"]["comment"]["permissions"] == {
            "actions": "read", "pull-requests": "write",
        }  # fmt: skip
        # The one with rights looks at nothing that a stranger wrote, but the reason.
        assert all("uses" not in step for step in self.steps(report))
        assert report[True]["workflow_run"]["workflows"] == [check["name"]]
        checkouts = [s["with"] for s in self.steps(check) if "checkout" in s.get("uses", "")]
        assert [one["persist-credentials"] for one in checkouts] == [False, False]
        secrets = [str(step) for step in self.steps(check) + self.steps(report)]
        assert not any("secrets." in text for text in secrets)

    def test_only_its_own_comment_is_edited(self) -> None:
        path = ROOT / ".github" / "workflows" / "realign-report.yml"
        text = path.read_text()
        assert "--edit-last" not in text and "startswith(env.MARKER)" in text
        job = yaml.safe_load(text)["jobs"]["comment"]
        assert job["env"]["MARKER"].startswith("<!-- ")
        assert """printf '%s\\n' "$MARKER\"""" in job["steps"][0]["run"]

    def listed(self, folder: Path) -> tuple[bytes, str]:
        """Run the step that lists a merge's changes; return them and the step's outputs."""
        path = ROOT / ".github" / "workflows" / "realign-submissions.yml"
        (step,) = (s for s in self.steps(yaml.safe_load(path.read_text())) if s.get("id") == "list")
        outputs = folder.parent / "outputs"
        outputs.write_text("")
        subprocess.run(
            ["bash", "-e", "-c", step["run"]],
            cwd=folder,
            check=True,
            env=os.environ | {"RUNNER_TEMP": str(folder.parent), "GITHUB_OUTPUT": str(outputs)},
        )
        return (folder.parent / "changes").read_bytes(), outputs.read_text()

    def test_what_would_be_merged_is_listed(self, tmp_path: Path) -> None:
        folder = tmp_path / "proposed"

        def git(*words: str, at: Path = folder) -> None:
            identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
            command = ["git", "-C", str(at), *identity, *words]
            subprocess.run(command, check=True, capture_output=True)

        folder.mkdir()
        git("init", "--quiet", "--initial-branch=main")
        teams = folder / "blue_team_submissions"
        teams.mkdir()
        (teams / "theirs.json").write_text("{}")
        git("add", "."), git("commit", "--quiet", "--message", "one")
        git("checkout", "--quiet", "-b", "proposed")
        # A submodule that its own .gitmodules hides from a plain diff.
        (teams / "mine.json").mkdir()
        git("init", "--quiet", at=teams / "mine.json")
        git("commit", "--quiet", "--allow-empty", "--message", "x", at=teams / "mine.json")
        (folder / ".gitmodules").write_text(
            '[submodule "m"]\n\tpath = blue_team_submissions/mine.json\n'
            "\turl = ./x\n\tignore = all\n"
        )
        (teams / "theirs.json").chmod(0o755)
        git("add", "--force", "."), git("commit", "--quiet", "--message", "two")
        git("checkout", "--quiet", "main")
        # What the branch got since is not the pull request's.
        (teams / "new.json").write_text("{}")
        git("add", "blue_team_submissions/new.json"), git("commit", "--quiet", "--message", "three")
        git("merge", "--quiet", "--no-ff", "proposed", "--message", "merge")
        changes, outputs = self.listed(folder)
        assert set(changes.split(b"\0")[1::2]) == {
            b".gitmodules", b"blue_team_submissions/mine.json",
            b"blue_team_submissions/theirs.json",
        }  # fmt: skip
        assert outputs == "touched=true\n"
        git("checkout", "--quiet", "-b", "other")
        (folder / "README.md").write_text("blue_team_submissions/")
        git("add", "README.md"), git("commit", "--quiet", "--message", "four")
        assert self.listed(folder) == (b"A\0README.md\0", "")

    def test_commands(self) -> None:
        path = ROOT / ".github" / "workflows" / "realign-submissions.yml"
        workflow = yaml.safe_load(path.read_text())
        # A required status that is skipped is waited for for ever.
        assert workflow[True]["pull_request"] is None
        for team in TEAMS:
            assert (ROOT / f"{team}_team_submissions" / "README.md").is_file()
        scripts = "\n".join(step.get("run", "") for step in self.steps(workflow))
        lines = re.findall(r"^mimicry (.*?)(?: >|$)", scripts, re.MULTILINE)
        assert lines
        for line in lines:
            check_command(line)
        assert (ROOT / re.findall(r"-r (\S+)", scripts)[0]).is_file()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the two competitions name, with small data of real activations."""
    root = tmp_path_factory.mktemp("bundle")
    ignore = shutil.ignore_patterns("__pycache__")
    for name in NAMED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, root / name, ignore=ignore)
        else:
            shutil.copy(source, root / name)
    made = root / "made"
    store = make_store(made)
    make_store(made / "other", seed=6)
    for phase, place in (("development", store), ("final", made / "other" / "store")):
        build_blue(
            place,
            entries_of_store(made),
            root / "reference_data" / f"blue_{phase}.zip",
            root / "public_data" / "blue",
            BlueOptions(count=2, replicates=4),
        )
    for phase, models in (
        ("development", ("test_*",)),
        ("final", ("vit_tiny*", "test_resnet")),
    ):
        build_red(
            store,
            root / "reference_data" / f"red_{phase}.zip",
            root / "public_data" / "red",
            RedOptions(count=6, draws=2, models=models),
        )
    shutil.rmtree(made)
    return root


def submission(team: str) -> dict[str, Any]:
    if team == "blue":
        return {"models": [{"model_name": "test_resnet"}, {"model_name": "test_efficientnet"}]}
    return {
        "images": [
            {"dataset_name": "made", "image_identifier": f"class-{i % 3}/{i:03d}.png"}
            for i in range(6)
        ]
    }


class TestWhole:
    def test_nothing_to_refuse(self, bundle: Path) -> None:
        report = validate_bundle(bundle, TEAMS)
        assert not report.errors and not report.warnings

    def test_packed(self, bundle: Path, team: str, tmp_path: Path) -> None:
        packed = pack_competition(load_competition(bundle, team), tmp_path)
        names = set(packed.members)
        assert f"reference_data/{team}_final.zip" in names
        assert f"public_data/{team}/rules.json" in names
        assert not any(name.startswith("ingestion") for name in names)
        # A zip is validated too, as it will be uploaded.
        report = validate_bundle(packed.path)
        assert not report.errors and not report.warnings

    def test_damaged_reference_data_are_not_packed(
        self, bundle: Path, team: str, tmp_path: Path
    ) -> None:
        from mimicry.codabench.zips import write_zip
        from mimicry.errors import BundleError

        spoiled = tmp_path / "spoiled"
        shutil.copytree(bundle, spoiled)
        members = {"rules.json": b"{}", "catalogue.jsonl": b"{}\n"}
        target = spoiled / "reference_data" / f"{team}_final.zip"
        write_zip(target, members, compress=False, check=lambda archive: None)
        with pytest.raises(BundleError) as caught:
            pack_competition(load_competition(spoiled, team), tmp_path)
        assert caught.value.code == "rules-invalid"

    @pytest.mark.parametrize("form", ["file", "folder"])
    def test_run(
        self, bundle: Path, team: str, form: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        from mimicry.cli import main

        path = tmp_path / "mine" / "mine.json"
        path.parent.mkdir()
        path.write_text(json.dumps(submission(team)))
        handed = path if form == "file" else path.parent
        for phase in ("development", "final"):
            words = ["run", str(handed), "--bundle", str(bundle), "--engine", "subprocess"]
            words += ["--competition", team, "--phase", phase, "--output", str(tmp_path / phase)]
            code = main(words)
            shown = capfd.readouterr()
            assert code == 0, shown.err
            assert "score 0." in shown.out
