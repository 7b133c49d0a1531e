"""Where a document is at fault, and words that say what to do."""

import json
import re
import unicodedata
from collections.abc import Callable, Iterator

DEEPEST = 32
# Only faults are looked for token by token.
MOST_TOKENS = 1_000_000
SHOWN_CHARACTERS = 60

# A text that never ends is one token too: tried from each of its quotes, it would be read
# to the end of the document again and again.
_TOKEN = re.compile(r'"[^"\\]*+(?:\\.?+[^"\\]*+)*+"?+|[\[\]{}:,]|[^\s\[\]{}:,"]++', re.DOTALL)
_DECODE = json.JSONDecoder(strict=False).decode
_COMMENTS = ("//", "/*", "#", "<!--")
_QUOTES = "'‘’‚“”„«»`´"
_WORDS = {"True": "true", "False": "false", "None": "null", "nan": "null", "undefined": "null"}


class DocumentFault(ValueError):  # noqa: N818 - an outcome the caller words, not an error to show
    """What is wrong with a document: a stable code and words to follow the file's name."""

    def __init__(self, code: str, text: str) -> None:
        self.code = code
        self.text = text
        super().__init__(f"{text} [{code}]")


class Refused(Exception):  # noqa: N818 - ends parsing, never seen outside of it
    """A value that strict JSON does not have: the fault's code, and the value as text."""

    def __init__(self, code: str, what: str) -> None:
        self.code = code
        self.what = what


def located(text: str, refused: Refused) -> DocumentFault:
    """Return the fault about a refused value, with its place if that is found."""
    code, what = refused.code, refused.what
    if code == "json-duplicate-key":
        position, key = _repeated_key(text) or (None, what)
        told = f"the key {quoted(key)} stands twice in one object; keep one of them."
    elif code == "json-number":
        position = _find(text, lambda token: token.startswith(what))
        told = (
            f"{what} is no JSON number; write a finite number or null."
            if what.strip("-").isalpha()
            else f"the number {_cut(what)} is too large or too long; write a shorter one."
        )
    else:
        position = _find(text, lambda token: token.startswith('"') and what in _content(token))
        told = f"a text holds U+{ord(what):04X}, " + (
            "half of a character (an unpaired surrogate)"
            if "\ud800" <= what <= "\udfff"
            else "a control character"
        )
        told += "; remove it."
    where = "" if position is None else f"{place_of(text, position)}: "
    return DocumentFault(code, where + told)


def nesting_fault(text: str) -> DocumentFault:
    """Return the fault about nesting deeper than `DEEPEST`, with its place if that is found."""
    depth, where = 0, ""
    for position, token in _tokens(text):
        depth += (token in "[{") - (token in "]}")
        if depth > DEEPEST:
            where = f"{place_of(text, position)}: "
            break
    return DocumentFault(
        "json-nesting", f"{where}objects and lists are nested more than {DEEPEST} deep; flatten it."
    )


def syntax_fault(text: str, error: json.JSONDecodeError) -> DocumentFault:
    """Return the fault that Python's parser found, in words for people who write JSON."""
    position = error.pos
    if position < len(text) and text[position] == ",":
        # Python tells a comma too many at the comma, or, before 3.13, behind it.
        after = position + 1
        while after < len(text) and text[after].isspace():
            after += 1
        if after < len(text) and text[after] in "]}":
            position = after
    told = _syntax_words(text, position, error.msg)
    return DocumentFault("json-syntax", f"{place_of(text, position)}: {told}")


def _syntax_words(text: str, position: int, message: str) -> str:
    rest = text[position : position + 20]
    before = text[max(0, position - 200) : position].rstrip()
    if message.startswith("Invalid control character"):
        return (
            "a line break, tab or control character inside a text; write \\n or \\t, or close "
            "the quotes."
        )
    if message.startswith("Unterminated string"):
        return "a text that begins here never ends; close its quotes."
    if message.startswith("Invalid") and "escape" in message:
        return (
            'a backslash that begins no JSON escape; write \\\\ for a backslash, \\" for a quote.'
        )
    if not rest.strip():
        return "the document ends too early; it is cut off, or a bracket is missing."
    if rest.startswith(_COMMENTS):
        return "a comment; JSON has none, remove it."
    if rest[0] in "]}" and before.endswith(","):
        return f"a comma before the closing {rest[0]}; remove the comma."
    if rest[0] in _QUOTES:
        return f'the quote {rest[0]}; write plain double quotes, ".'
    word = re.match(r"\w+", rest)
    if word and word[0] in _WORDS:
        return f"{word[0]}; JSON writes {_WORDS[word[0]]}."
    if message.startswith("Extra data"):
        return "more text after the end of the object; a file holds one object only."
    if not rest[0].isascii() or not rest[0].isprintable():
        return (
            f"the character U+{ord(rest[0]):04X} "
            f"({unicodedata.name(rest[0], 'without a name')}) outside of a text; remove it."
        )
    expected = {
        "Expecting property name": 'a key in double quotes or a closing "}" was expected here.',
        "Expecting ':'": "a colon was expected here, between a key and its value.",
        "Expecting ','": "a comma or a closing bracket was expected here.",
    }
    return next(
        (words for start, words in expected.items() if message.startswith(start)),
        "a value was expected here: a text in double quotes, a number, an object or a list.",
    )


def _tokens(text: str) -> Iterator[tuple[int, str]]:
    for count, match in enumerate(_TOKEN.finditer(text)):
        if count >= MOST_TOKENS:
            return
        yield match.start(), match[0]


def _find(text: str, wanted: Callable[[str], bool]) -> int | None:
    return next((position for position, token in _tokens(text) if wanted(token)), None)


def _content(token: str) -> str:
    """Return the text that a token in quotes stands for."""
    return str(_DECODE(token)) if "\\" in token else token[1:-1]


def _repeated_key(text: str) -> tuple[int, str] | None:
    # One set of keys per open object, None per open list.
    open_keys: list[set[str] | None] = []
    previous = ""
    for position, token in _tokens(text):
        if token in "{[":
            open_keys.append(set() if token == "{" else None)
        elif token in "]}":
            open_keys.pop()
        elif token.startswith('"') and previous in {"{", ","} and open_keys:
            keys = open_keys[-1]
            if keys is not None:
                key = _content(token)
                if key in keys:
                    return position, key
                keys.add(key)
        previous = token
    return None


def place_of(text: str, position: int) -> str:
    """Return a position as line and column, both from 1."""
    line = text.count("\n", 0, position) + 1
    column = position - text.rfind("\n", 0, position)
    return f"line {line:,}, column {column:,}"


def _cut(text: str) -> str:
    if len(text) <= SHOWN_CHARACTERS:
        return text
    return f"{text[:SHOWN_CHARACTERS]}… ({len(text):,} characters)"


def quoted(text: str) -> str:
    """Return a participant's text in quotes, cut to what fits in a sentence."""
    return f'"{_cut(text)}"'
