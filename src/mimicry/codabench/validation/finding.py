"""What a validation finds, and where it is collected."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from mimicry.codabench.reading.document import ERROR, TOOL, WARNING, Document, Keys, show_keys
from mimicry.errors import one_line

LONGEST = 600
MOST_FINDINGS = 1000


@dataclass(frozen=True)
class Finding:
    """One finding.

    Attributes
    ----------
    level : {"error", "warning"}
        error: refused, fails, or something is lost in silence. warning: works, at a risk.
    code : str
        Stable name in lower-case-with-hyphens.
    file : str
        Relative to the bundle's root.
    line : int or None
        From 1; None where it is about the file as a whole.
    key : str
        As in ``phases[0].end``; empty where it is about no key.
    problem, platform, mend : str
        What is wrong; what the platform says or does; the edit that mends it.
    """

    level: str
    code: str
    file: str
    line: int | None
    key: str
    problem: str
    platform: str
    mend: str


@dataclass(frozen=True)
class Notes:
    """Collects findings, each once, and says what was too large to be looked at."""

    findings: list[Finding] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    def add(
        self,
        level: str,
        code: str,
        file: str,
        problem: str,
        platform: str,
        mend: str,
        *,
        line: int | None = None,
        key: str = "",
    ) -> None:
        """Note a finding about `file`."""
        if len(self.findings) >= MOST_FINDINGS:
            return
        texts = [one_line(text, LONGEST) for text in (file, key, problem, platform, mend)]
        file, key, problem, platform, mend = texts
        finding = Finding(level, code, file, line, key, problem, platform, mend)
        if finding not in self.findings:
            self.findings.append(finding)

    def at(
        self,
        document: Document,
        keys: Keys,
        code: str,
        problem: str,
        platform: str,
        mend: str,
        *,
        level: str = ERROR,
    ) -> None:
        """Note a finding about a key of a competition file."""
        line = document.line(keys)
        key = show_keys(keys)
        self.add(level, code, document.name, problem, platform, mend, line=line, key=key)

    def take(self, document: Document) -> None:
        """Take over the faults of a competition file, but those of our own tools alone."""
        for fault in document.faults:
            if fault.level != TOOL:
                self.add(
                    fault.level,
                    fault.code,
                    document.name,
                    fault.problem,
                    fault.platform,
                    fault.mend,
                    line=fault.line or None,
                    key=show_keys(fault.keys),
                )

    def skip(self, what: str) -> None:
        """Note that something was not looked at, and why."""
        text = one_line(what, LONGEST)
        if text not in self.unread and len(self.unread) < MOST_FINDINGS:
            self.unread.append(text)

    def sorted(self) -> tuple[Finding, ...]:
        """Return the findings by file, line and weight."""
        return tuple(
            sorted(
                self.findings,
                key=lambda f: (f.file, f.line or 0, f.level != ERROR, f.key, f.code),
            )
        )


def some(names: Sequence[str], shown: int = 3) -> str:
    """Return the first names of many."""
    listed = ", ".join(repr(name[:100]) for name in names[:shown])
    return f"{listed} and {len(names) - shown:,} more" if len(names) > shown else listed


__all__ = ["ERROR", "WARNING", "Finding", "Notes", "some"]
