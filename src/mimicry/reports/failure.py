"""The page of a run without scores: why, and what to do."""

from html import escape

from mimicry.reports.layout import page

_ADVICE = {
    "submission": "This is the submission's to mend. Change it and submit again; a failed run "
    "does not count against the number of submissions.",
    "bundle": "Nothing is wrong with the submission: the competition's data or set-up are. "
    "Please pass the code above on to the organisers.",
}
_BUG_ADVICE = (
    "Nothing is wrong with the submission as far as is known: the program itself failed. "
    "Please pass the code above on to the organisers."
)


def failure_page(title: str, sentence: str, code: str, kind: str, version: str) -> str:
    """Return ``detailed_results.html`` of a run that has no scores.

    Parameters
    ----------
    title : str
        The task.
    sentence, code : str
        The error's; both escaped here.
    kind : str
        ``submission``, ``bundle`` or ``bug``: who can mend it.
    version : str
        Mimicry's version.
    """
    body = (
        "<p>This run has no scores.</p>\n"
        f'<div class="card"><p>{escape(sentence)}</p></div>\n'
        f"<p>Code: <code>{escape(code)}</code></p>\n"
        f"<p>{escape(_ADVICE.get(kind, _BUG_ADVICE))}</p>\n"
        f'<p class="soft">mimicry {escape(version)}</p>'
    )
    return page(title, body)
