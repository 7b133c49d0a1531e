"""One mapping of a document, read key by key as the platform reads it."""

import difflib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from mimicry.codabench.reading.document import (
    ERROR,
    UNKNOWN_KEY,
    UNPACK_LOG,
    WARNING,
    Document,
    Keys,
    shown,
)
from mimicry.codabench.reading.known_keys import PHASE_PATHS, TASK_PATHS, home_of, why_ignored

NULL_PATH = (
    f"\"{UNPACK_LOG} join() argument must be str, bytes, or os.PathLike object, not 'NoneType'\""
)
NULL_UNKNOWN = "Was not tried with an empty value here; where it takes one, it is not the default."
NO_BOOLEAN = 'Refuses the bundle: "Must be a valid boolean."'
NO_DATASET = 'Refuses the bundle: "Cannot find dataset: "{0}""'
LONGEST_PATH = 1024
LONGEST_KEY = 60
STORED = (*TASK_PATHS, *PHASE_PATHS, "path")
"""Keys whose files get a place of their own in the platform's storage."""

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def is_uuid(text: object) -> bool:
    """Tell whether `text` is written like the key of something on a server."""
    return isinstance(text, str) and _UUID.fullmatch(text) is not None


@dataclass(frozen=True)
class Section:
    """One mapping of a document, read key by key.

    Every reader notes the fault that it finds and returns a stand-in of the right type;
    nothing may be made of the values before `Document.refuse_faults`. What compares
    several values asks `sound` first.
    """

    document: Document
    keys: Keys
    data: Mapping[str, Any]

    def fault(
        self,
        key: str | None,
        code: str,
        problem: str,
        platform: str,
        mend: str,
        *,
        level: str = ERROR,
        missing: str | None = None,
    ) -> None:
        """Note a fault of `key` in this section, or of the section; see `Document.fault`."""
        keys = self.keys if key is None else (*self.keys, key)
        self.document.fault(keys, code, problem, platform, mend, level=level, missing=missing)

    def sound(self, *names: str) -> bool:
        """Tell whether no error was noted at any of these keys or below."""
        return all(self.document.sound((*self.keys, name)) for name in names)

    def known(self, names: Collection[str], kind: str) -> None:
        """Refuse every key that is not in `names`; `kind` is what the section describes."""
        for key in self.data:
            if key in names:
                continue
            if self.document.full:
                return
            name = str(key)[:LONGEST_KEY]
            reason = why_ignored(kind, name)
            near = difflib.get_close_matches(name, names, 1, 0.7)
            home = home_of(name)
            if reason is not None:
                mend = f"remove it: {reason}"
            elif home is not None:
                mend = f"move it to where it belongs, {home}"
            elif near:
                mend = f"did you mean `{near[0]}`?"
            else:
                mend = "remove it"
            self.fault(
                name,
                UNKNOWN_KEY,
                "this key is unknown and the platform would ignore it",
                "Ignores it in silence.",
                mend.rstrip("."),
            )

    def has(self, key: str, null: str = NULL_UNKNOWN, *, level: str = ERROR) -> bool:
        """Tell whether `key` is written with a value, noting one without."""
        if key in self.data and self.data[key] is None:
            mend = "give one or remove the line"
            self.fault(key, "empty-value", "the key has no value", null, mend, level=level)
            return False
        return key in self.data

    def require(self, key: str, example: str, platform: str, *, null: str | None = None) -> Any:
        """Return the value of `key`; None after a fault, with a line to add."""
        if not self.has(key, null or platform) and key not in self.data:
            self.fault(
                None,
                "missing-key",
                f"the key `{key}` is missing",
                platform,
                f"add a line such as `{example}`",
                missing=key,
            )
        return self.data.get(key)

    def text(
        self,
        key: str,
        example: str,
        *,
        platform: str = "Refuses the bundle, since this field may not be null.",
        limit: int = 256,
        default: str | None = None,
        null: str | None = None,
    ) -> str:
        """Return a text of 1 to `limit` characters; required unless there is a default."""
        if default is not None and not self.has(key, null or NULL_UNKNOWN, level=WARNING):
            return default
        value = self.require(key, f"{key}: {example}", platform, null=null)
        if value is None:
            return example
        if default is not None and isinstance(value, str) and not value.strip():
            return default
        if isinstance(value, int) and not isinstance(value, bool) and limit < LONGEST_PATH:
            # The platform takes numbers as text, but not as a path.
            value = shown(value)
        if not isinstance(value, str) or not value.strip():
            self.fault(
                key,
                "not-text",
                f"this must be a text, not {shown(value)}",
                "Refuses the bundle, or fails with an exception.",
                f"write for example `{key}: {example}`, in quotes where it looks like a number",
            )
            return example
        if len(value) > limit:
            self.fault(
                key,
                "too-long",
                f"{len(value)} characters are too long; the platform takes {limit}",
                f'Refuses the bundle: "{key}: Ensure this field has no more than {limit} '
                'characters."',
                f"shorten it to {limit} characters",
            )
            return example
        return value.strip()

    def flag(self, key: str, *, default: bool) -> bool:
        """Return a boolean, `default` when the key is absent."""
        if not self.has(key):
            return default
        value = self.data[key]
        if not isinstance(value, bool):
            self.fault(
                key,
                "not-boolean",
                f"this must be true or false without quotes, not {shown(value)}",
                NO_BOOLEAN + " (Some words, such as 'true' in quotes, may pass.)",
                f"write `{key}: {str(default).lower()}` or "
                f"`{key}: {str(not default).lower()}`, whichever you mean",
            )
            return default
        return value

    def number(
        self, key: str, *, least: int, example: int, platform: str, null: str | None = None
    ) -> int:
        """Return a whole number of at least `least`; the key is required."""
        value = self.require(key, f"{key}: {example}", platform, null=null)
        if value is None:
            return example
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            self.fault(
                key,
                "not-a-number",
                f"this must be a whole number of at least {least}, not {shown(value)}",
                platform,
                f"write for example `{key}: {example}`",
            )
            return example
        return value

    def choice(self, key: str, choices: Collection[str], *, default: str) -> str:
        """Return one of `choices`, `default` when the key is absent."""
        value = self.data[key] if self.has(key) else default
        if not isinstance(value, str) or value not in choices:
            quoted = value if isinstance(value, str) else "x"
            self.fault(
                key,
                "no-valid-choice",
                f"{shown(value)} is unknown",
                f'Refuses the bundle: ""{quoted}" is not a valid choice."',
                f"choose one of {', '.join(choices)}",
            )
            return default
        return value

    def path(
        self, key: str, example: str, platform: str = NO_DATASET, *, null: str = NULL_PATH
    ) -> PurePosixPath:
        """Return the bundle-relative path under `key`.

        Refused are absolute paths, ``..``, backslashes, and names with the word
        "private", which the platform's storage cannot fetch again. `platform` is what it
        says for a missing file, ``{0}`` being the path.
        """
        text = self.text(
            key, example, limit=LONGEST_PATH, platform=platform.format(example), null=null
        )
        path = PurePosixPath(text)
        write = f"write a path below the bundle's root with `/`, such as `{key}: {example}`"
        if "\\" in text or re.match(r"[A-Za-z]:", text):
            self.fault(
                key,
                "path-backslash",
                f"{shown(text)} must be a path below the bundle's root with `/`",
                platform.format(text),
                write,
            )
        elif path.is_absolute() or ".." in path.parts:
            self.fault(
                key,
                "path-outside",
                f"{shown(text)} must be a path below the bundle's root with `/`",
                "Does not refuse it, and looks for the file outside the bundle, on its own server.",
                write,
            )
        elif "\0" in text or not path.parts:
            self.fault(
                key, "path-outside", f"{shown(text)} names no file", platform.format(text), write
            )
        elif "private" in text.lower():
            self._private(key, text, path)
        return path

    def _private(self, key: str, text: str, path: PurePosixPath) -> None:
        stored = key in STORED and "private" in path.name.lower()
        fetched = 'every submission fails with "Problem fetching ..."'
        self.fault(
            key,
            "name-private",
            f'{shown(text)} holds the word "private", which the platform\'s storage trips over',
            f"Unpacks it, and {fetched if key in TASK_PATHS else 'it cannot be fetched again'} "
            "(with the sample configuration, where the storage's bucket has that name)."
            if stored
            else "Looks for this word (the bucket's name in the sample configuration) in the names "
            "that it stores; whether it finds it here was not tried.",
            "rename it",
            level=ERROR if stored else WARNING,
        )

    def sections(
        self, key: str, example: str, platform: str, *, empty: str | None = None
    ) -> Iterator["Section"]:
        """Yield the mappings of the list under `key`; `empty` is what is said without any."""
        value = self.require(key, example, platform)
        if value is None:
            return
        if not isinstance(value, list) or (not value and empty is not None):
            self.fault(
                key,
                "not-a-list" if not isinstance(value, list) else "empty-list",
                "this must be a list with at least one entry",
                (empty or platform) if isinstance(value, list) else "Fails with an exception.",
                f"write for example `{example}`",
            )
            return
        for index, item in enumerate(value):
            if self.document.full:
                return
            keys = (*self.keys, key, index)
            if isinstance(item, dict):
                yield Section(self.document, keys, item)
            else:
                self.document.fault(
                    keys,
                    "not-a-mapping",
                    f"this must be a mapping, not {shown(item)}",
                    "Fails with an exception.",
                    f"write for example `{example}`",
                )

    def warn(self, key: str | None, code: str, problem: str, platform: str, mend: str) -> None:
        """Note something that works, but at a risk."""
        self.fault(key, code, problem, platform, mend, level=WARNING)
