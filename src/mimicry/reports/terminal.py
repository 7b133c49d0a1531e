"""Plain text of the terminal as a picture, for documents."""

import io

# Rich's own format loads a font from the web; a picture in a document must not.
_FORMAT = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img">
<style>
.{unique_id}-matrix {{
    font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
    font-size: {char_height}px;
    line-height: {line_height}px;
}}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def terminal_picture(text: str, title: str) -> str:
    """Draw lines of text as they look in a terminal.

    Parameters
    ----------
    text : str
        Plain lines; each stays one line.
    title : str
        Stands above them, such as the command that printed them.

    Returns
    -------
    str
        An SVG file that loads nothing; the same for the same text.
    """
    from rich.console import Console
    from rich.text import Text

    lines = text.splitlines()
    width = max(map(len, lines), default=1)
    console = Console(
        record=True, width=width, file=io.StringIO(), force_terminal=True, color_system=None
    )
    for line in lines:
        console.print(Text(line), soft_wrap=True)
    svg = console.export_svg(title=title, code_format=_FORMAT, unique_id="board")
    return "\n".join(line.rstrip() for line in svg.splitlines() if line.strip()) + "\n"
