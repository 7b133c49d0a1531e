"""docs/security.md claims only what a test proves, and lists the whole corpus."""

import re

from hostile_corpus import BY_GROUP
from hostile_exceptions import EXCEPTIONS
from hostile_stage import REPOSITORY

from mimicry.ingestion.isolation import confine, protections

PAGE = (REPOSITORY / "docs" / "security.md").read_text(encoding="utf-8")


def test_every_named_test_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)
    assert len(named) >= 10
    for file, test in named:
        source = (REPOSITORY / file).read_text(encoding="utf-8")
        assert re.search(rf"^def {test}\(", source, re.MULTILINE), f"{file}::{test}"


def test_every_case_is_listed_in_its_group() -> None:
    for title, names in BY_GROUP.items():
        heading = f"### {title[0].upper()}{title[1:]}\n"
        part = PAGE.split(heading)[1].partition("\n#")[0].partition("Cases: ")[2]
        assert re.findall(r"`([\w-]+)`", part) == names, title
    total = sum(map(len, BY_GROUP.values()))
    assert f"{total} hostile and broken submissions" in " ".join(PAGE.split())


def test_the_exceptions_are_those_of_the_code() -> None:
    part = PAGE.split("## Accepted exceptions\n")[1].partition("\n#")[0]
    rows = re.findall(r"^\| (\w+) \| `([\w-]+)` \| (.+) \|$", part, re.MULTILINE)
    assert rows == [(one.engine, one.case, one.reason) for one in EXCEPTIONS]


def test_every_protection_is_explained() -> None:
    names = {
        *(confine.FILES, confine.SIGNALS, confine.NETWORK, confine.SYSTEM_CALLS),
        *(confine.LIMITS, confine.MEMORY, protections.HIDDEN_INPUT, protections.NOT_DUMPABLE),
    }
    assert not [name for name in names if f"`{name}`" not in PAGE]


def test_links_lead_to_pages() -> None:
    for page in re.findall(r"\]\(([\w.-]+\.md)\)", PAGE):
        assert (REPOSITORY / "docs" / page).is_file(), page
