"""A matplotlib figure as an SVG element of an HTML page, in the page's colours and without inline style."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from maskps.pictures.drawing import BLUE, HAIRLINE, INK, SOFT_INK, WHITE, Colour

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_DROPPED = {f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"}


def _hex(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


_PAGE_COLOURS = {
    _hex(INK): "currentColor",
    _hex(SOFT_INK): "var(--soft)",
    _hex(HAIRLINE): "var(--line)",
    _hex(WHITE): "var(--paper)",
    _hex(BLUE): "var(--blue)",
}


def figure_to_svg(figure: Figure, *, salt: str) -> str:
    """Returns the figure as an SVG file, text as outlines; the same figure and salt give the same bytes."""
    import matplotlib

    stream = io.StringIO()
    nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
    with matplotlib.rc_context({"svg.hashsalt": salt, "svg.fonttype": "path"}):
        figure.savefig(stream, format="svg", metadata=nothing)
    return stream.getvalue()


def svg_to_inline(svg: str, *, key: str, label: str) -> str:
    """Returns a file by `figure_to_svg` as an <svg> element for a page.

    Style declarations become attributes, since the page's content security policy forbids inline style. Ink,
    lines and paper take the page's colours, so that dark pages have dark figures.

    Args:
        key: unique on the page; each id begins with it.
        label: the figure's content as text, for screen readers.
    """
    root = ElementTree.fromstring(svg)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in _DROPPED:
                parent.remove(child)
    for element in root.iter():
        _restyle(element, key)
    for name in ("width", "height"):
        root.attrib.pop(name, None)
    root.attrib |= {"role": "img", "aria-label": label, "stroke-linejoin": "round", "stroke-linecap": "butt"}
    ElementTree.register_namespace("", _SVG)
    return ElementTree.tostring(root, encoding="unicode")


def _restyle(element: ElementTree.Element, key: str) -> None:
    for declaration in element.attrib.pop("style", "").split(";"):
        name, _, value = declaration.partition(":")
        if name.strip():
            element.set(name.strip(), value.strip())
    for name, value in list(element.attrib.items()):
        if name == "id":
            element.set(name, f"{key}-{value}")
        elif name == f"{{{_XLINK}}}href":
            del element.attrib[name]
            element.set("href", value.replace("#", f"#{key}-", 1))
        elif "url(#" in value:
            element.set(name, re.sub(r"url\(#", f"url(#{key}-", value))
        elif name in ("fill", "stroke"):
            element.set(name, _PAGE_COLOURS.get(value, value))
