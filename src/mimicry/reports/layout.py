"""The frame of every page: one self-contained file, light and dark, phone to desktop."""

from html import escape

_STYLE = """
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5a6675;--line:#d9dfe6;--paper:#fff;
--card:#f5f7f9;--accent:#b4530a}
@media(prefers-color-scheme:dark){:root{--ink:#e8ecf1;--soft:#a3afbd;--line:#36404d;
--paper:#14181e;--card:#1d232b;--accent:#f2a65a}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:46rem;margin:0 auto;padding:1.5rem 1rem 3rem}
h1{font-size:1.4rem;line-height:1.25;margin:0 0 1rem}
p{margin:.6rem 0;overflow-wrap:anywhere}
.soft{color:var(--soft);font-size:.9rem}
.card{background:var(--card);border-left:4px solid var(--accent);border-radius:4px;
padding:.8rem 1rem;margin:1rem 0}
.card p{margin:0}
table{width:100%;border-collapse:collapse;margin:1rem 0}
caption{text-align:left;color:var(--soft);font-size:.9rem;padding-bottom:.3rem}
th,td{text-align:left;vertical-align:top;padding:.55rem .4rem;border-top:1px solid var(--line)}
th{font-weight:600}
td.n{text-align:right;font-variant-numeric:tabular-nums;font-weight:600}
td small,th small{display:block;color:var(--soft);font-weight:400}
code{font:.88em ui-monospace,monospace;overflow-wrap:anywhere}
tr.first td.n{font-size:1.25rem;color:var(--accent)}
""".strip()


def page(title: str, body: str) -> str:
    """Return a complete HTML document.

    Parameters
    ----------
    title : str
        Plain text; escaped here.
    body : str
        HTML whose texts are already escaped.
    """
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # Nothing is loaded and nothing runs, even if a text got through unescaped.
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{escape(title)}</title>\n<style>\n{_STYLE}\n</style>\n</head>\n"
        f"<body>\n<main>\n<h1>{escape(title)}</h1>\n{body}\n</main>\n</body>\n</html>\n"
    )
