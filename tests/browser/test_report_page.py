"""The report page in a real browser: opens from disk without any request, fits laptops and phones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maskps.evaluation.result_file import (
    ProtocolResult,
    ResultData,
    ResultFile,
    ResultSource,
    write_results,
)
from maskps.protocols import ProtocolName
from maskps.report import write_report

SCRIPT = "<script>alert(1)</script>"
LONG = f'"quoted" שלום ‮עולם {"x" * 80}'
IDS = (SCRIPT, "\"><img src=x onerror='alert(2)'>", "שלום ‮עולם", "a_query_id_of_forty_letters_without_blank")

Visits = Callable[..., Any]


def line(protocol: str, gallery_size: int, precisions: list[float]) -> ProtocolResult:
    values = np.array(precisions)
    hits = np.stack([values >= 0.5] * 3, axis=1)
    return ProtocolResult(
        protocol=ProtocolName(protocol),
        fingerprint=protocol,
        feature="embedding",
        method="cosine",
        rules="oim",
        gallery_size=gallery_size,
        score_threshold=0.5,
        failures={SCRIPT: int((~hits[:, 0]).sum())},
        query_ids=IDS,
        average_precisions=values,
        hits=hits,
    )


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs on CUHK-SYSU by name, and one on a set whose name means something to a browser."""
    folder = tmp_path_factory.mktemp("report")
    cuhk = ResultData("cuhk-sysu", "CUHK-SYSU", False, "c")
    odd = ResultData("coco", f"'{SCRIPT} {LONG}'", False, "o")
    runs = []
    for name, data, shift in (
        ("first", cuhk, 0.0),
        (f"second {LONG}"[:120], cuhk, 0.25),
        ("third", odd, 0.0),
    ):
        lines = [
            line("TestG50", 50, [1.0, 0.5, 0.25 + shift, 0.0]),
            line("TestG100", 100, [1.0 - shift, 0.5, shift, 0.0]),
        ]
        source = ResultSource(run=name, masks=True, recipe=SCRIPT, step=1)
        runs.append(folder / f"{len(runs)} {name}.json".replace("/", ""))
        write_results(runs[-1], ResultFile(data, source, tuple(lines)))
    write_report(runs, folder / "report.html")
    return folder / "report.html"


@pytest.mark.parametrize(("width", "dark"), [(1366, False), (390, True)])
def test_it_opens_without_a_request_a_complaint_or_an_overflow(
    width: int, dark: bool, report: Path, visit_each: Visits
) -> None:
    visited = visit_each(report, width=width, dark=dark)
    assert visited.faults() == [] and visited.is_dark == dark


def test_a_dark_page_is_printed_in_light_without_its_lists_of_links(report: Path, visit: Visits) -> None:
    visited = visit(report, dark=True)
    assert visited.page.locator(".sections").is_visible()
    visited.page.emulate_media(media="print", color_scheme="dark")
    assert not visited.is_dark and not visited.page.locator(".sections").is_visible()
    assert visited.page.locator("thead button").first.is_visible()


def test_names_stay_text(report: Path, visit: Visits) -> None:
    page = visit(report).page
    assert page.locator("script").count() == 1 and page.locator("img").count() == 0
    assert page.get_by_text(SCRIPT, exact=True).first.is_visible()


def test_figures_are_drawn_in_the_colours_of_the_page(report: Path, visit: Visits) -> None:
    colour = "getComputedStyle(document.querySelector('.chart svg g[id$=\"text_1\"] *')).fill"
    light = visit(report).page.evaluate(colour)
    dark = visit(report, dark=True).page.evaluate(colour)
    assert (light, dark) == ("rgb(33, 37, 41)", "rgb(232, 236, 240)")


def test_a_head_sorts_its_table_by_number(report: Path, visit_each: Visits) -> None:
    page = visit_each(report).page
    table = page.locator("table.sortable").first
    table.get_by_role("button", name="mAP").click()
    cells = [float(text) for text in table.locator("tbody td:nth-child(2)").all_text_contents()]
    assert cells == sorted(cells, reverse=True) and len(cells) == 13
    table.get_by_role("button", name="mAP").click()
    again = [float(text) for text in table.locator("tbody td:nth-child(2)").all_text_contents()]
    assert again == sorted(cells)


def test_a_difference_sorts_by_its_mean_and_a_small_p_as_a_number(report: Path, visit: Visits) -> None:
    numbers = "['+2.1 [-0.3, +4.5]', '-0.4 [-0.8, 0.0]', '0.043', '<0.001'].map(number)"
    assert visit(report).page.evaluate(numbers) == [2.1, -0.4, 0.043, 0.001]


def test_it_can_be_read_without_javascript(report: Path, chromium: Any) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.resolve().as_uri())
    text = page.locator("main").inner_text()
    context.close()
    assert "Largest gains" in text and "86.3" in text and "Of 4 queries 1 gained, 1 lost, 2 are equal" in text
