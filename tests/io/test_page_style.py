"""The style of the pages: text that can be read in light and dark, and no colours beside the shared ones."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest

import maskps
import maskps_annotation
from maskps.io.html import base_style

SHEETS = [
    path
    for package in (maskps, maskps_annotation)
    for path in sorted(Path(package.__file__).parent.rglob("*.css"))
    if path.name != "page.css" or path.parent.name != "io"
]
SURFACES = ("ground", "paper", "field", "tint", "warn")
TEXTS = ("ink", "soft", "blue", "good", "bad", "caution")


def themes() -> dict[str, dict[str, str]]:
    """The custom properties, light and dark; dark ones are those of light with some replaced."""
    light, dark = (
        dict(re.findall(r"--([\w-]+): ([^;]+);", block))
        for block in re.findall(r":root \{(.*?)\}", base_style(), flags=re.DOTALL)
    )
    return {"light": light, "dark": light | dark}


def luminance(colour: str) -> float:
    """The relative luminance of "#rgb" or "#rrggbb" by WCAG 2.2."""
    digits = colour.removeprefix("#")
    digits = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits
    assert re.fullmatch("[0-9a-f]{6}", digits), colour
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_ratio_is_that_of_wcag() -> None:
    assert contrast("#fff", "#000000") == pytest.approx(21)
    assert contrast("#767676", "#fff") == pytest.approx(4.54, abs=0.005)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_has_a_contrast_of_4_5_on_every_surface(theme: str) -> None:
    colours = themes()[theme]
    pairs = [*product(TEXTS, SURFACES), ("on", "blue"), ("on", "good"), ("on", "bad")]
    low = {pair: contrast(colours[pair[0]], colours[pair[1]]) for pair in pairs}
    assert {pair: ratio for pair, ratio in low.items() if ratio < 4.5} == {}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_edges_of_what_can_be_used_have_a_contrast_of_3(theme: str) -> None:
    colours = themes()[theme]
    assert min(contrast(colours["edge"], colours[surface]) for surface in SURFACES) >= 3


def test_the_dark_colours_replace_every_light_one_of_text_and_surfaces() -> None:
    light, dark = themes().values()
    assert [name for name in (*SURFACES, *TEXTS, "on", "line", "edge") if light[name] == dark[name]] == []


@pytest.mark.parametrize("path", SHEETS, ids=lambda path: "-".join(path.parts[-3:]))
def test_a_page_has_no_colours_of_its_own(path: Path) -> None:
    values = re.findall(r":\s*([^;{}]+);", path.read_text(encoding="utf-8"))
    assert [value for value in values if re.search(r"#[0-9a-f]{3}|rgb|hsl|\b(white|black)\b", value)] == []


@pytest.mark.parametrize("path", [None, *SHEETS], ids=lambda path: path and "-".join(path.parts[-3:]))
def test_every_property_that_is_used_is_defined(path: Path | None) -> None:
    text = base_style() + (path.read_text(encoding="utf-8") if path else "")
    scripts = [one.read_text(encoding="utf-8") for one in path.parent.glob("*.js")] if path else []
    by_scripts = re.findall(r'setProperty\("--([\w-]+)"', "".join(scripts))
    assert set(re.findall(r"var\(--([\w-]+)", text)) <= {*re.findall(r"--([\w-]+):", text), *by_scripts}
