"""The pull-request road: boards of folders, and what a pull request may change."""

import csv
import io
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from realign_store import entries_of_store, make_store

from mimicry.codabench.json_submission import Known
from mimicry.errors import BundleError, SubmissionError
from mimicry.realign.build import BlueOptions, RedOptions, build_blue, build_red
from mimicry.realign.changes import Change, judge_changes, parse_changes
from mimicry.realign.pull_requests import Failed, Row, TeamBoard, board_text, score_folder

GOOD = {"models": [{"model_name": "test_resnet"}, {"model_name": "test_efficientnet"}]}
TWINS = {
    "models": [{"model_name": "deit_tiny_patch16_224"}, {"model_name": "vit_tiny_patch16_224"}]
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Public and reference data of both boards, made from real activations."""
    root = tmp_path_factory.mktemp("bundle")
    store = make_store(root)
    build_blue(
        store,
        entries_of_store(root),
        root / "reference_data" / "blue.zip",
        root / "public_data" / "blue",
        BlueOptions(count=2, replicates=8),
    )
    build_red(
        store,
        root / "reference_data" / "red.zip",
        root / "public_data" / "red",
        RedOptions(count=6, draws=3, models=("test_*",)),
    )
    (root / "competition.yaml").write_text("")
    return root


def write(folder: Path, **files: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / f"{name}.json").write_text(text)
    return folder


def red_document(count: int = 6) -> dict[str, Any]:
    return {
        "images": [
            {"dataset_name": "made", "image_identifier": f"class-{i % 3}/{i:03d}.png"}
            for i in range(count)
        ]
    }


class TestBoard:
    def test_ranks_and_ties_and_reasons(self, bundle: Path, tmp_path: Path) -> None:
        other = {"models": [{"model_name": "test_resnet"}, {"model_name": "vit_tiny_patch16_224"}]}
        folder = write(
            tmp_path / "blue_team_submissions",
            beta=GOOD, alpha={"models": GOOD["models"][::-1]}, gamma=other, twins=TWINS,
            broken="{", wrong=red_document(),
        )  # fmt: skip
        (folder / "Upper.json").write_text(json.dumps(GOOD))
        (folder / "README.md").write_text("no submission")
        board = score_folder(folder, bundle / "reference_data" / "blue.zip")
        # The order of the list does not matter, so alpha and beta are equal.
        ranks = {row.team: row.rank for row in board.rows}
        assert set(ranks) == {"alpha", "beta", "gamma"}
        assert ranks["alpha"] == ranks["beta"]
        assert sorted(ranks.values()) in ([1, 1, 3], [1, 2, 2])
        assert [one.file for one in board.failed] == [
            "Upper.json", "broken.json", "twins.json", "wrong.json",
        ]  # fmt: skip
        assert {one.file: one.code for one in board.failed} == {
            "Upper.json": "team-file-name",
            "broken.json": "json-syntax",
            "twins.json": "same-weights",
            "wrong.json": "wrong-team",
        }
        assert all("\n" not in one.reason for one in board.failed)
        # The file's name stands before the reason.
        assert not any(one.file in one.reason for one in board.failed)

    def test_a_folder_serves_as_well_as_a_zip(self, bundle: Path, tmp_path: Path) -> None:
        folder = write(tmp_path / "teams", one=red_document())
        archive = bundle / "reference_data" / "red.zip"
        shutil.unpack_archive(archive, tmp_path / "ref")
        boards = [score_folder(folder, place) for place in (archive, tmp_path / "ref")]
        assert boards[0] == boards[1]
        assert boards[0].team == "red" and len(boards[0].rows) == 1

    def test_links_are_not_followed(self, bundle: Path, tmp_path: Path) -> None:
        folder = write(tmp_path / "teams", real=GOOD)
        (folder / "link.json").symlink_to(folder / "real.json")
        board = score_folder(folder, bundle / "reference_data" / "blue.zip")
        assert [(one.file, one.code) for one in board.failed] == [("link.json", "json-unreadable")]

    def test_no_folder_and_no_reference(self, bundle: Path, tmp_path: Path) -> None:
        with pytest.raises(BundleError) as caught:
            score_folder(tmp_path / "none", bundle / "reference_data" / "blue.zip")
        assert caught.value.code == "folder-missing"
        (tmp_path / "bad.zip").write_bytes(b"no zip")
        with pytest.raises(BundleError) as caught:
            score_folder(write(tmp_path / "teams", one=GOOD), tmp_path / "bad.zip")
        assert caught.value.code == "reference-missing"

    @pytest.mark.parametrize("folder", ["red_team_submissions", "teams"])
    def test_data_of_the_other_team_are_named(
        self, bundle: Path, tmp_path: Path, folder: str
    ) -> None:
        teams = write(tmp_path / folder, one=red_document(), two=red_document())
        with pytest.raises(BundleError) as caught:
            score_folder(teams, bundle / "reference_data" / "blue.zip")
        assert caught.value.code == "reference-other-team"
        assert "blue.zip holds Blue's data" in caught.value.sentence
        assert "name red_development.zip" in caught.value.sentence

    def test_an_empty_folder_is_said_to_be_empty(self, bundle: Path, tmp_path: Path) -> None:
        with pytest.raises(BundleError) as caught:
            score_folder(write(tmp_path / "teams"), bundle / "reference_data" / "blue.zip")
        assert caught.value.code == "folder-missing"
        assert "teams holds no JSON files" in caught.value.sentence


def path_in(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


SCORES = dict.fromkeys(
    ("score", "mean_cka_unbiased", "minimum_pair", "standard_error", "share_of_optimum"), 0.5
)
BOARD = TeamBoard(
    "blue",
    (Row(1, "a", SCORES), Row(1, "b", SCORES)),
    (Failed("=cmd.json", "json-syntax", "@all `x` [l](http://a) is | wrong"),),
)


class TestForms:
    def test_json(self) -> None:
        found = json.loads(board_text(BOARD, "json"))
        assert [row["rank"] for row in found["rows"]] == [1, 1]
        assert found["rows"][0]["score"] == 0.5 and found["competition"] == "blue"
        assert found["failed"][0]["code"] == "json-syntax"

    def test_csv_is_safe_in_a_spreadsheet(self) -> None:
        rows = list(csv.reader(io.StringIO(board_text(BOARD, "csv"))))
        assert rows[0][:3] == ["rank", "team", "score"]
        assert rows[1][:3] == ["1", "a", "0.5"]
        assert rows[3][1] == "'=cmd.json" and rows[3][-1].startswith("'@all")

    def test_markdown_shows_strangers_texts_as_code(self) -> None:
        text = board_text(BOARD, "markdown")
        lines = text.splitlines()
        assert lines[0].startswith("| rank | team | Mean similarity |") and lines[2].startswith(
            "| 1 | a |"
        )
        assert lines[-1] == "- `=cmd.json`: `@all 'x' [l](http://a) is | wrong [json-syntax]`"

    def test_text(self) -> None:
        text = board_text(BOARD, "text")
        assert "Share of the optimum" in text.splitlines()[0]
        assert text.splitlines()[1].split() == ["1", "a", *["0.5000"] * 5]
        assert "not scored:" in text

    def test_nobody(self) -> None:
        assert "no submission was scored" in board_text(TeamBoard("red", (), ()), "text")


class TestChanges:
    @pytest.fixture
    def proposed(self, tmp_path: Path) -> Path:
        write(tmp_path / "blue_team_submissions", mine=GOOD, theirs=GOOD, twins=TWINS)
        write(tmp_path / "red_team_submissions", mine=red_document(), few=red_document(5))
        return tmp_path

    def verdict(self, bundle: Path, proposed: Path, *changes: tuple[str, str]) -> tuple[int, str]:
        found = judge_changes([Change(*one) for one in changes], proposed, Known(bundle))
        return found.exit_code, "\n".join(found.lines)

    @pytest.mark.parametrize("team", ["blue", "red"])
    def test_one_new_file(self, bundle: Path, proposed: Path, team: str) -> None:
        code, text = self.verdict(bundle, proposed, ("A", f"{team}_team_submissions/mine.json"))
        assert code == 0 and "looks fine" in text and "maintainer" not in text

    def test_a_file_that_is_there_already(self, bundle: Path, proposed: Path) -> None:
        code, text = self.verdict(bundle, proposed, ("M", "blue_team_submissions/mine.json"))
        assert code == 0 and "a maintainer must see" in text

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ([("A", "blue_team_submissions/twins.json")], "same weights"),
            ([("A", "red_team_submissions/few.json")], "names 5; name exactly 6"),
            ([("A", "blue_team_submissions/none.json")], "json-unreadable"),
            ([("D", "blue_team_submissions/mine.json")], "is removed"),
            ([("T", "blue_team_submissions/mine.json")], "no plain file"),
            (
                [("A", "blue_team_submissions/mine.json"), ("A", "red_team_submissions/mine.json")],
                "changes 2 files of submissions",
            ),
            (
                [("A", "blue_team_submissions/mine.json"), ("M", "src/mimicry/cli.py")],
                "changes other files too ('src/mimicry/cli.py')",
            ),
            ([("A", "blue_team_submissions/a/b.json")], "a submission is"),
            ([("A", "blue_team_submissions/Mine.json")], "a submission is"),
            ([("M", "blue_team_submissions/README.md")], "a submission is"),
            ([("A", "blue_team_submissions/\x1b[31m`.json")], "\\x1b[31m`"),
        ],
    )
    def test_refused(
        self, bundle: Path, proposed: Path, changes: list[tuple[str, str]], words: str
    ) -> None:
        code, text = self.verdict(bundle, proposed, *changes)
        assert code == 3 and words in text and "\x1b" not in text

    def test_a_link_to_another_file(self, bundle: Path, proposed: Path) -> None:
        link = proposed / "blue_team_submissions" / "link.json"
        link.symlink_to(bundle / "competition.yaml")
        code, text = self.verdict(bundle, proposed, ("A", "blue_team_submissions/link.json"))
        assert code == 3 and "json-unreadable" in text

    @pytest.mark.parametrize("target", ["mine.json", "loop.json", "..", "/", "/dev/zero", "none"])
    def test_no_link_is_followed(self, bundle: Path, proposed: Path, target: str) -> None:
        (proposed / "blue_team_submissions" / "loop.json").symlink_to(target)
        code, text = self.verdict(bundle, proposed, ("A", "blue_team_submissions/loop.json"))
        assert code == 3 and "is a symbolic link" in text and "json-unreadable" in text

    def test_neither_is_a_link_that_stands_for_the_folder(
        self, bundle: Path, proposed: Path
    ) -> None:
        blue = proposed / "blue_team_submissions"
        blue.rename(proposed / "elsewhere")
        blue.symlink_to("elsewhere")
        code, text = self.verdict(bundle, proposed, ("A", "blue_team_submissions/mine.json"))
        assert code == 3 and "is not in a plain folder" in text

    def test_a_folder_is_no_file(self, bundle: Path, proposed: Path) -> None:
        (proposed / "blue_team_submissions" / "sub.json").mkdir()
        write(proposed / "blue_team_submissions" / "sub.json", mine=GOOD)
        code, text = self.verdict(bundle, proposed, ("A", "blue_team_submissions/sub.json"))
        assert code == 3 and "is a folder or a submodule" in text
        inside = ("A", "blue_team_submissions/sub.json/mine.json")
        code, text = self.verdict(bundle, proposed, inside)
        assert code == 3 and "a submission is" in text

    def test_an_executable_file_is_told(self, bundle: Path, proposed: Path) -> None:
        path = proposed / "blue_team_submissions" / "mine.json"
        assert "executable" not in self.verdict(bundle, proposed, ("M", path_in(path)))[1]
        path.chmod(0o755)
        code, text = self.verdict(bundle, proposed, ("M", path_in(path)))
        assert code == 0 and "mine.json is executable" in text and "a maintainer must see" in text

    def test_the_other_teams_file(self, bundle: Path, proposed: Path) -> None:
        write(proposed / "blue_team_submissions", swapped=red_document())
        code, text = self.verdict(bundle, proposed, ("A", "blue_team_submissions/swapped.json"))
        assert code == 3 and "wrong-team" in text

    @pytest.mark.parametrize(
        "name",
        ["a\n::error::x.json", "\x1b]0;x\x07.json", "[l](http://a).json", "`@all`.json", "ü.json",
         "x.json\n", "../x.json", "a\u202eb.json", "a b.json", "-rf.json" * 9],
    )  # fmt: skip
    def test_odd_names_stay_on_one_line(self, bundle: Path, proposed: Path, name: str) -> None:
        for change in (("A", f"blue_team_submissions/{name}"), ("A", name)):
            known = ("A", "blue_team_submissions/mine.json")
            found = judge_changes([Change(*change), Change(*known)], proposed, Known(bundle))
            assert found.exit_code == 3
            assert all(line.isprintable() and line.isascii() for line in found.lines)

    def test_texts_of_the_file_stay_on_one_line(self, bundle: Path, proposed: Path) -> None:
        write(proposed / "blue_team_submissions", odd=GOOD | {"a\n::error::b\u202e": 1})
        path = "blue_team_submissions/odd.json"
        found = judge_changes([Change("A", path)], proposed, Known(bundle))
        assert found.exit_code == 3 and all(line.isprintable() for line in found.lines)

    def test_nothing_of_ours(self, bundle: Path, proposed: Path) -> None:
        assert self.verdict(bundle, proposed, ("M", "README.md"))[0] == 0

    def test_what_git_prints_is_read(self, tmp_path: Path) -> None:
        def git(*words: str) -> bytes:
            identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
            command = ["git", "-C", str(tmp_path), *identity, *words]
            return subprocess.run(command, check=True, capture_output=True).stdout

        git("init", "--quiet")
        write(tmp_path / "blue_team_submissions", old=GOOD, moved=GOOD)
        git("add", "."), git("commit", "--quiet", "--message", "one")
        write(tmp_path / "blue_team_submissions", old=TWINS)
        (tmp_path / "blue_team_submissions" / "moved.json").rename(tmp_path / "näme\n.json")
        git("add", "."), git("commit", "--quiet", "--message", "two")
        found = parse_changes(git("diff", "--name-status", "-z", "--no-renames", "HEAD~1...HEAD"))
        assert set(found) == {
            Change("M", "blue_team_submissions/old.json"),
            Change("D", "blue_team_submissions/moved.json"),
            Change("A", "näme\n.json"),
        }

    @given(st.binary(max_size=200))
    def test_other_bytes_are_refused_or_read(self, data: bytes) -> None:
        try:
            changes = parse_changes(data)
        except SubmissionError as error:
            assert error.code == "pull-request-changes"
        else:
            assert all(len(change.status) == 1 and change.path for change in changes)
