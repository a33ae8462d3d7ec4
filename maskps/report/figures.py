"""Figures of the report: mAP against gallery size (Fig. 4), failures by cause, gain and loss by query."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from maskps.pictures.drawing import BLUE, GREEN, INK, ORANGE, SKY, SOFT_INK, VERMILION
from maskps.pictures.plot_style import finish, new_figure, rgb
from maskps.report.comparison import Comparison
from maskps.report.sources import DataKey, Sources
from maskps.report.svg import figure_to_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SIZE = (5.2, 4.0)
_DPI = 200
_COLOURS = (BLUE, ORANGE, GREEN, VERMILION, SKY, INK)
_MARKERS = "osD^vP"
_DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))
_HATCHES = ("", "////", "....", "xxxx", "----", "++++")
_ONE_QUERY_LIST = re.compile(r"TestG\d+|all")  # all: every test scene except the query's own
_LONGEST, _LONGEST_BESIDE = 28, 20  # letters, so that the axes have room
_LINES_THAT_FIT, _LEGEND_LINE = 4, 0.21  # lines of a legend above the axes; inches for each more


@dataclass(frozen=True)
class ReportFigure:
    """A figure.

    Attributes:
        key: file name without suffix, unique on a page.
        title: short.
        description: the content of the figure as text.
        svg: content of an SVG file.
        png: content of a PNG file.
    """

    key: str
    title: str
    description: str
    svg: str
    png: bytes


def gallery_figure(sources: Sources, data: DataKey) -> ReportFigure | None:
    """Returns mAP against gallery size (Fig. 4); None if no line has two sizes.

    A line is a run with one method, feature and set of rules. Its points share one list of queries: the
    protocols TestG50 ... TestG4000, and the full set.
    """
    lines: dict[str, dict[int, float]] = {}
    for run in sources.of(data).measured:
        for one in run.file.results:
            if _ONE_QUERY_LIST.fullmatch(str(one.protocol)):
                lines.setdefault(run.name_of(one), {})[one.gallery_size] = one.mAP
    lines = {name: points for name, points in lines.items() if len(points) > 1}
    if not lines:
        return None
    title = "mAP against gallery size"
    height = _SIZE[1] + _LEGEND_LINE * max(len(lines) - _LINES_THAT_FIT, 0)
    figure, (axes,) = new_figure(title, f"Data: {plain_text(data.title)}", size=(_SIZE[0], height))
    sizes = sorted({size for points in lines.values() for size in points})
    texts = []
    for index, (name, points) in enumerate(lines.items()):
        xs = sorted(points)
        axes.plot(
            xs,
            [100 * points[x] for x in xs],
            color=rgb(_COLOURS[index % len(_COLOURS)]),
            marker=_MARKERS[index % len(_MARKERS)],
            linestyle=_DASHES[index % len(_DASHES)],
            linewidth=1.8,
            label=plain_text(name),
        )
        texts.append(f"{name}: " + ", ".join(f"{100 * points[x]:.1f} at {x:,}" for x in xs))
    axes.set_xscale("log")
    axes.minorticks_off()
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.set_ylim(0, 100)
    finish([axes], "gallery size (images)", "mAP (%)")
    values = [100 * value for points in lines.values() for value in points.values()]
    axes.set_ylim(10 * ((min(values) - 2) // 10), min(100.0, 10 * ((max(values) + 2) // 10 + 1)))
    return _drawn(figure, "gallery_size", title, "; ".join(texts) + ".")


def failure_figure(sources: Sources, data: DataKey) -> ReportFigure | None:
    """Returns the causes of queries without a top-1 hit, a bar per run; None if no query failed."""
    runs = [(run, line) for run in sources.of(data).measured if (line := run.usual()) is not None]
    causes = list(dict.fromkeys(cause for _, line in runs for cause in line.failures))
    if not any(sum(line.failures.values()) for _, line in runs):
        return None
    title = "Queries without a top-1 hit, by cause"
    names = [
        "\n".join(plain_text(name, _LONGEST_BESIDE) for name in (run.name_of(line), str(line.protocol)))
        for run, line in runs
    ]
    height = 2.3 + 0.25 * len(causes) + 0.5 * len(runs)
    figure, (axes,) = new_figure(title, f"Data: {plain_text(data.title)}", size=(_SIZE[0], height))
    left = np.zeros(len(runs))
    for index, cause in enumerate(causes):
        shares = np.array([100 * line.failures.get(cause, 0) / line.queries for _, line in runs])
        axes.barh(
            range(len(runs)),
            shares,
            left=left,
            height=0.6,
            color=rgb(_COLOURS[index % len(_COLOURS)]),
            hatch=_HATCHES[index % len(_HATCHES)],
            edgecolor="white",
            linewidth=0,
            label=plain_text(cause),
        )
        left += shares
    axes.set_yticks(range(len(runs)), names)
    for text in axes.get_yticklabels():
        text.set_parse_math(False)
    axes.invert_yaxis()
    low, high = axes.get_ylim()
    finish([axes], "share of the queries (%)", "")
    axes.set_ylim(low, high)
    axes.grid(axis="y", visible=False)
    texts = [
        f"{run.name_of(line)}, {line.protocol}: "
        + ", ".join(f"{cause} {line.failures.get(cause, 0):,}" for cause in causes)
        for run, line in runs
    ]
    return _drawn(figure, "failures", title, "; ".join(texts) + ".")


def comparison_figure(comparison: Comparison, data: DataKey) -> ReportFigure:
    """Returns the difference in AP of each query, the largest gain on the left."""
    from matplotlib.ticker import MaxNLocator

    title = "Difference in AP, query by query"
    figure, (axes,) = new_figure(
        title, f"Data: {plain_text(data.title)}, {plain_text(comparison.protocol)}", size=_SIZE
    )
    values = 100 * comparison.differences[comparison.order]
    edges = np.arange(len(values) + 1) + 0.5
    for part, colour, hatch, name in (
        (np.maximum(values, 0), BLUE, "", f"{comparison.better:,} better"),
        (np.minimum(values, 0), VERMILION, "////", f"{comparison.worse:,} worse"),
    ):
        style: dict[str, Any] = {"color": rgb(colour), "label": name}
        if hatch:
            style |= {"hatch": hatch, "edgecolor": "white"}
        axes.stairs(part, edges, baseline=0, fill=True, linewidth=0, **style)
    axes.axhline(0, color=rgb(SOFT_INK), linewidth=0.8)
    axes.set_xlim(edges[0], edges[-1])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))  # one bar per tick
    limit = max(5.0, 1.08 * float(np.abs(values).max()))
    axes.set_ylim(-limit, limit)
    finish([axes], "queries, by difference", "difference in AP (points)")
    axes.set_ylim(-limit, limit)
    return _drawn(figure, comparison.key, title, comparison.summary())


def plain_text(name: str, longest: int = _LONGEST) -> str:
    """Returns a name in letters that the font has, its middle cut so that it fits into a legend."""
    from matplotlib.font_manager import findfont, get_font

    known = get_font(findfont("DejaVu Sans")).get_charmap()
    text = "".join(letter if ord(letter) in known and letter.isprintable() else "?" for letter in name)
    if len(text) > longest:
        end = longest // 2  # runs of one grid differ in their last letters
        text = f"{text[: longest - end - 1]}…{text[-end:]}"
    return f" {text}" if text.startswith("_") else text  # matplotlib leaves out labels that begin with _


def _drawn(figure: Figure, key: str, title: str, description: str) -> ReportFigure:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=_DPI, metadata={"Software": None})
    return ReportFigure(key, title, description, figure_to_svg(figure, salt=key), stream.getvalue())
