"""Reads what a competition file says at its top level: texts, switches, pages, questions."""

import re

from mimicry.codabench.reading.document import UNPACK_LOG, shown
from mimicry.codabench.reading.known_keys import (
    FACT_KEYS,
    PAGE_KEYS,
    SOLUTION_KEYS,
    TOP_FLAGS,
    TOP_KEYS,
)
from mimicry.codabench.reading.section import NO_DATASET, Section, is_uuid

LONGEST_IMAGE = 128
MOVING_TAGS = frozenset(
    {"main", "master", "trunk", "dev", "devel", "develop", "nightly", "edge", "head", "canary"}
    | {"stable", "current", "rolling", "snapshot", "testing", "staging", "production"}
)
LOCAL_HOSTS = frozenset({"localhost", "0.0.0.0", "host.docker.internal"})
NO_IMAGE = 'Refuses the bundle: "An image for this competition could not be found in the yaml"'
NO_TERMS = (
    'Refuses the bundle: "A file containing the terms of this competition has not been supplied '
    'in the required location"'
)
NO_PAGE = 'Refuses the bundle: "Unable to find page: {0}"'

_EMAIL = re.compile(r"[^\s@]+@[^\s@.]+(\.[^\s@.]+)+")
_NAME = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::\d+)?/)?"
_IMAGE = re.compile(
    rf"{_HOST}{_NAME}(?:/{_NAME})*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?(?:@sha256:[0-9a-f]{{64}})?"
)


def read_texts(top: Section) -> tuple[str, str]:
    """Check all of the top level but tasks, phases and the board.

    Returns
    -------
    title, docker_image : str
        Stand-ins where a fault was noted.
    """
    top.known(TOP_KEYS, "top")
    _check_version(top)
    for key, default in TOP_FLAGS.items():
        top.flag(key, default=default)
    title = top.text(
        "title",
        "Find the hybrids",
        platform='Refuses the bundle: "title: This field may not be null."',
    )
    top.text("description", "", limit=100_000, default="")
    top.choice("competition_type", ("competition", "benchmark"), default="competition")
    top.text("reward", "", default="")
    email = top.text("contact_email", "", default="")
    if email and not _EMAIL.fullmatch(email):
        top.fault(
            "contact_email",
            "no-email",
            f"{shown(email)} is no e-mail address",
            'Refuses the bundle: "contact_email: Enter a valid email address."',
            "write `contact_email: name@example.org`, or remove the line",
        )
    queue = top.data.get("queue")
    if queue is not None and not is_uuid(queue):
        top.fault(
            "queue",
            "no-queue",
            f"{shown(queue)} is not the key of a queue",
            'Refuses the bundle: "... is not a valid UUID."',
            "copy the queue's vhost, a UUID, from its page, or remove the line for the default one",
        )
    image = _read_image(top)
    _check_pages(top)
    _check_fact_sheet(top)
    return title, image


def _check_version(top: Section) -> None:
    version = top.require(
        "version",
        "version: 2",
        'Reads the bundle as version 1.5 and fails, for example with "HTML pages could not be '
        'found in the yaml file"',
    )
    written = "" if isinstance(version, bool) else shown(version).strip("'")
    if version is None or written == "2":
        return
    old = written in {"1", "1.5"}
    top.fault(
        "version",
        "version",
        f"only `version: 2` describes this format, not {shown(version)}",
        "Reads the bundle by the rules of that older version, which are not these."
        if old
        else 'Refuses the bundle: "A suitable version could not be found for this competition. '
        'Make sure one is supplied in the yaml."',
        "write `version: 2`",
    )


def _read_image(top: Section) -> str:
    default = "Runs everything in `codalab/codalab-legacy:py37`, an image of its own, in silence."
    image = top.text(
        "docker_image",
        "ghcr.io/owner/image:1.0.0",
        limit=LONGEST_IMAGE,
        platform=default,
    )
    if not top.sound("docker_image"):
        return image
    tag = image.rpartition("/")[2].partition("@")[0].partition(":")[2]
    if not _IMAGE.fullmatch(image):
        top.fault(
            "docker_image",
            "image-name",
            f"{shown(image)} is no name of a container image",
            "Unpacks it, and every job ends with "
            f'"Pull for {image} failed! Check the logs for more information".',
            "write a name such as `docker_image: ghcr.io/owner/image:1.0.0`, in lower case and "
            "without `https://`",
        )
    elif "@sha256:" not in image and tag in {"", "latest"}:
        top.fault(
            "docker_image",
            "image-not-pinned",
            f"{shown(image)} names no fixed version",
            "Pulls the image before every job, so that it changes under running submissions.",
            "add a tag such as `:1.0.0`, or a digest",
        )
    else:
        _check_origin(top, image, "" if "@sha256:" in image else tag)
    return image


def _check_origin(top: Section, image: str, tag: str) -> None:
    if tag.lower() in MOVING_TAGS:
        top.warn(
            "docker_image",
            "image-tag-moves",
            f"the tag {tag!r} names whatever was built last, as a rule",
            "Pulls the image before every job, so that it changes under running submissions.",
            "write a tag that stays, such as `:1.0.0`, or a digest",
        )
    host = image.partition("/")[0].partition(":")[0].lower()
    if "/" in image and (host in LOCAL_HOSTS or host.startswith("127.")):
        top.warn(
            "docker_image",
            "image-local",
            f"the registry {host!r} is the worker's own machine, and not yours",
            "Unpacks it, and every job ends with "
            f'"Pull for {image} failed! Check the logs for more information".',
            "push the image to a registry that the workers reach, and write its name",
        )


def _check_pages(top: Section) -> None:
    for key, example, absent, unfound in (
        ("image", "logo.png", NO_IMAGE, 'Refuses the bundle: "Unable to find image: {0}"'),
        ("terms", "pages/terms.md", NO_TERMS, NO_PAGE),
    ):
        if top.data.get(key) is None:
            top.require(key, f"{key}: {example}", absent)
        else:
            top.path(key, example, unfound)
    example = "pages: [{title: Overview, file: pages/overview.md}]"
    platform = f"\"{UNPACK_LOG} 'NoneType' object is not iterable\""
    pages = list(top.sections("pages", example, platform))
    if top.data.get("pages") == []:
        top.warn(
            "pages",
            "no-pages",
            "there are no pages, so participants find the terms and nothing else",
            "Takes an empty list.",
            f"write for example `{example}`",
        )
    for page in pages:
        page.known(PAGE_KEYS, "page")
        page.text(
            "title",
            "Overview",
            platform='Refuses the bundle: "pages: title: This field may not be null."',
        )
        if "file" not in page.data:
            page.require("file", "file: pages/overview.md", f"\"{UNPACK_LOG} 'file'\"")
        else:
            page.path("file", "pages/overview.md", NO_PAGE)


def _check_fact_sheet(top: Section) -> None:
    if not top.has("fact_sheet"):
        return
    sheet = top.data["fact_sheet"]
    if not isinstance(sheet, dict):
        top.fault(
            "fact_sheet",
            "fact-sheet",
            f"this must be a mapping of questions by their keys, not {shown(sheet)}",
            'Refuses the bundle: "Not valid JSON", or fails with an exception.',
            "write `fact_sheet: {method: {key: method, ...}}`, or remove the line",
        )
        return
    for name, entry in sheet.items():
        keys = ("fact_sheet", str(name)[:80])
        _check_question(top, keys, name, entry)


def _check_question(top: Section, keys: tuple[str, str], name: object, entry: object) -> None:
    if not isinstance(entry, dict) or set(map(str, entry)) != set(FACT_KEYS):
        has = {str(key)[:40] for key in entry} if isinstance(entry, dict) else set()
        absent = ", ".join(key for key in FACT_KEYS if key not in has)
        extra = ", ".join(sorted(has - set(FACT_KEYS))[:5])
        top.document.fault(
            keys,
            "fact-keys",
            f"a question has exactly the keys {', '.join(FACT_KEYS)}",
            f'Refuses the bundle: "Missing {{{absent}}} values for {keys[1]}"'
            if absent
            else "Refuses the bundle, naming the question.",
            "; ".join(filter(None, [absent and f"add {absent}", extra and f"remove {extra}"]))
            or "write the six keys",
        )
        return
    question = Section(top.document, keys, entry)
    if entry["key"] != name:
        question.fault(
            "key",
            "fact-key",
            f"this must repeat the question's own key, not {shown(entry['key'])}",
            f'Refuses the bundle: "key:...  does not match JSON key:{keys[1]}"',
            f"write `key: {keys[1]}`",
        )
    question.text("title", "Method", platform="Refuses the bundle.")
    kinds = ("text", "checkbox", "select")
    kind = entry["type"]
    if not isinstance(kind, str) or kind not in kinds:
        word = str(kind)[:40] if isinstance(kind, str) else "x"
        question.fault(
            "type",
            "fact-type",
            f"{shown(kind)} is unknown",
            f'Refuses the bundle: "{word} is not a valid question type"',
            f"choose one of {', '.join(kinds)}",
        )
    for flag in ("is_required", "is_on_leaderboard"):
        if entry[flag] not in ("true", "false"):
            right = "false" if entry[flag] in (False, "False", "no", "0", 0, "", None) else "true"
            question.fault(
                flag,
                "fact-flag",
                f"this must be the text 'true' or 'false' in quotes, not {shown(entry[flag])}",
                "Takes it, compares it with texts, and so does not do what it says.",
                f'write `{flag}: "{right}"`',
            )
    selection = entry["selection"]
    right_selection = {
        "text": selection == "",
        "checkbox": selection == [True, False],
        "select": isinstance(selection, list) and bool(selection),
    }
    if question.sound("type") and not right_selection[kind]:
        question.fault(
            "selection",
            "fact-selection",
            f"this does not fit the type {kind}",
            "Answers every submission that ticks it with HTTP 500."
            if kind == "checkbox"
            else "Takes it, and shows a question that cannot be answered as meant.",
            "write '' for text, [true, false] for checkbox, a list for select",
        )


def check_solutions(top: Section) -> None:
    """Check the solutions; after the tasks, whose indexes they name."""
    if not top.has("solutions"):
        return
    example = "solutions: [{index: 0, tasks: [0], path: baselines/one.zip}]"
    for solution in top.sections("solutions", example, "Fails with an exception."):
        solution.known(SOLUTION_KEYS, "solution")
        for key in ("index", "tasks"):
            line = "index: 0" if key == "index" else "tasks: [0]"
            solution.require(key, line, f"\"{UNPACK_LOG} '{key}'\" or the like.")
        _check_solution_tasks(top, solution)
        if "path" in solution.data:
            solution.path("path", "baselines/one.zip")
        elif "key" not in solution.data:
            solution.require("path", "path: baselines/one.zip", NO_DATASET.format(""))


def _check_solution_tasks(top: Section, solution: Section) -> None:
    numbers, tasks = solution.data.get("tasks"), top.data.get("tasks")
    if not isinstance(numbers, list) or not isinstance(tasks, list) or not top.sound("tasks"):
        return
    known = [task.get("index") for task in tasks if isinstance(task, dict)]
    for number in numbers:
        if not any(type(number) is type(index) and number == index for index in known):
            solution.fault(
                "tasks",
                "solution-task",
                f"no task has the index {shown(number)}",
                'Refuses the bundle: "Could not find tasks for solution: ..."',
                "name indexes that stand under `tasks`",
            )
