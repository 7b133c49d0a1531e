"""The pages and the terms: texts that the platform shows as Markdown with LaTeX."""

import re
from collections.abc import Iterator

from mimicry.codabench.reading.document import UNPACK_LOG, Document, Keys
from mimicry.codabench.validation.context import Context
from mimicry.codabench.validation.finding import ERROR, WARNING
from mimicry.codabench.validation.source import MIB, SourceError

LARGEST_PAGE = 4 * MIB
# Of a longer page, images and links are looked for in this much.
LARGEST_PROSE = MIB // 2
LONGEST_TAG = 1000
WHERE_IMAGES_MAY_BE = ("https://", "http://", "data:", "//")
WHERE_LINKS_MAY_LEAD = (*WHERE_IMAGES_MAY_BE, "#", "/", "mailto:", "ftp://")

_IMAGE = re.compile(
    r"!\[[^\]\n]{0,300}\]\(\s*<?([^)\s>]{1,500})"
    r"|<(?:img|video|audio|source|embed|iframe|input|track)\b[^<>]{0,500}?\b(?:src|poster)"
    r"\s*=\s*[\"']?([^\"'>\s]{1,500})"
    r"|<[a-z][^<>]{0,500}?\bstyle\s*=[^<>]{0,500}?\burl\(\s*[\"']?([^\"')>\s]{1,500})",
    re.IGNORECASE,
)
_LINK = re.compile(
    r"(?<!!)\[[^\]\n]{1,300}\]\(\s*<?([^)\s>]{1,500})"
    r"|<a\b[^<>]{0,500}?\bhref\s*=\s*[\"']?([^\"'>\s]{1,500})",
    re.IGNORECASE,
)
_DEFINED = re.compile(r"^ {0,3}\[([^\]\n]{1,300})\]:\s*<?([^\s>]{1,500})")
# ![words][name], or ![name] alone.
_BY_NAME = re.compile(r"!\[([^\]\n]{0,300})\](?:\[([^\]\n]{0,300})\]|(?![\[(]))")
_OPEN_TAG = re.compile(r"<[a-zA-Z][^<>]*$")
_CODE = re.compile(r"(`+)(?!`).{0,2000}?(?<!`)\1(?!`)")
_DOLLAR = re.compile(r"(?<!\\)\$")
# A price begins with a digit, and mathematics has operators.
_NO_FORMULA = frozenset("0123456789 \t")
_MATHEMATICS = re.compile(r"[\\^_{}=<>+*/]")


def check_pages(context: Context, document: Document) -> None:
    """Check the files of the terms and of every page, and what is written in them."""
    data = document.data
    files: list[tuple[Keys, object, bool]] = [(("terms",), data.get("terms"), True)]
    pages = data.get("pages")
    for index, page in enumerate(pages if isinstance(pages, list) else []):
        if isinstance(page, dict):
            files.append((("pages", index, "file"), page.get("file"), False))
    for keys, value, terms in files:
        path = context.path(document, keys, value)
        if path is not None:
            _check_page(context, document, keys, path, terms=terms)


def _check_page(
    context: Context, document: Document, keys: Keys, path: str, *, terms: bool
) -> None:
    notes = context.notes
    if context.tree.kind(path) != "file":
        near = context.near(path)
        notes.at(
            document,
            keys,
            "page-missing",
            f"there is no file {path!r}",
            f'Refuses the bundle: "Unable to find page: {path}"',
            f"write `{keys[-1]}: {near}`" if near else "add the file, or correct the path",
        )
        return
    try:
        raw = context.tree.read(path, LARGEST_PAGE + 1)
    except SourceError as error:
        notes.at(
            document,
            keys,
            "page-unreadable",
            f"{path!r} {error}",
            f'"{UNPACK_LOG} ..." with an exception.',
            "save the file anew",
        )
        return
    said = (
        f"{path} is empty, it must contain content."
        if terms
        else f"Page '{path}' is empty, it must contain content."
    )
    try:
        text = raw[:LARGEST_PAGE].decode(
            "utf-8-sig", "ignore" if len(raw) > LARGEST_PAGE else "strict"
        )
    except UnicodeDecodeError as error:
        notes.at(
            document,
            keys,
            "page-encoding",
            f"{path!r} is not UTF-8 text (byte {error.start})",
            f'"{UNPACK_LOG} ..." with the decoder\'s message.',
            "save it as UTF-8",
        )
        return
    if not text.strip():
        notes.at(
            document,
            keys,
            "page-empty",
            f"{path!r} is empty",
            f'Refuses the bundle: "{said}"',
            "write something into it",
        )
        return
    _check_text(context, path, text)


def _check_text(context: Context, path: str, text: str) -> None:
    prose = list(_prose(text))
    named = {_label(name or words) for _, line in prose for words, name in _BY_NAME.findall(line)}
    for number, line in _joined(prose):
        defined = [(_label(name) in named, target) for name, target in _DEFINED.findall(line)]
        for target in (*_targets(_IMAGE, line), *(to for image, to in defined if image)):
            if not target.lower().startswith(WHERE_IMAGES_MAY_BE):
                context.notes.add(
                    ERROR,
                    "page-image",
                    path,
                    f"the image {target!r} is a file, and files of the bundle are not served",
                    "Shows a broken image.",
                    "put the image on the web and write its https address, or a data: URI",
                    line=number,
                )
        for target in (*_targets(_LINK, line), *(to for image, to in defined if not image)):
            if not target.lower().startswith(WHERE_LINKS_MAY_LEAD):
                context.notes.add(
                    WARNING,
                    "page-link",
                    path,
                    f"the link {target!r} leads to a file, and files of the bundle are not served",
                    "Shows a link that leads nowhere.",
                    "write a web address",
                    line=number,
                )
    for number, line in prose:
        # What stands between two signs; a last one alone is none.
        for inside in _DOLLAR.split(line.replace("$$", ""))[1:-1:2]:
            if inside[:1] in _NO_FORMULA and not _MATHEMATICS.search(inside):
                context.notes.add(
                    WARNING,
                    "page-dollars",
                    path,
                    "two dollar signs on one line are read as LaTeX",
                    f"Shows {('$' + inside + '$')[:60]!r} as a formula.",
                    "write `&#36;` for a dollar sign, or the currency's name",
                    line=number,
                )
                break


def _label(name: str) -> str:
    return " ".join(name.split()).casefold()


def _joined(lines: list[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Yield lines with their numbers; a tag that goes on in the next lines is put together."""
    start, begun = 0, ""
    for number, line in lines:
        if begun and line.strip() and len(begun) < LONGEST_TAG:
            line, number = f"{begun} {line}", start
        elif begun:
            yield start, begun
        if _OPEN_TAG.search(line, max(0, len(line) - LONGEST_TAG)):
            start, begun = number, line
        else:
            begun = ""
            yield number, line
    if begun:
        yield start, begun


def _targets(pattern: re.Pattern[str], line: str) -> Iterator[str]:
    for groups in pattern.findall(line):
        yield from filter(None, groups)


def _prose(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines outside of code, with their numbers; code within a line is cut out."""
    fence = ""
    for number, line in enumerate(text[:LARGEST_PROSE].splitlines(), 1):
        mark = re.match(r" {0,3}(`{3,}|~{3,})", line)
        if fence:
            if mark and mark[1].startswith(fence):
                fence = ""
            continue
        if mark:
            fence = mark[1]
            continue
        yield number, _CODE.sub(" ", line[:20_000])
