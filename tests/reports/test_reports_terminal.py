"""Text as a picture."""

from xml.etree import ElementTree

from mimicry.reports.terminal import terminal_picture


def words(svg: str) -> str:
    root = ElementTree.fromstring(svg)
    return " ".join("".join(root.itertext()).replace("\xa0", " ").split())


def test_the_picture_holds_the_text_and_loads_nothing() -> None:
    svg = terminal_picture("one  <two>\n[bold]three[/bold] & 0.1234\n" + "x" * 150, "a command")
    text = words(svg)
    for part in ("one <two>", "[bold]three[/bold] & 0.1234", "x" * 150, "a command"):
        assert part in text
    assert svg.count("http") == 1
    assert "url(#" in svg and "url(h" not in svg
    assert svg == terminal_picture(
        "one  <two>\n[bold]three[/bold] & 0.1234\n" + "x" * 150, "a command"
    )
