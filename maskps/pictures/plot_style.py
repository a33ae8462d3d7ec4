"""The common style of all plots: title, axes, grid, legend. Matplotlib draws them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from maskps.pictures.drawing import HAIRLINE, INK, SOFT_INK, Colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def new_figure(
    title: str, source: str, *, panels: int = 1, size: tuple[float, float] | None = None
) -> tuple[Figure, list[Axes]]:
    """Returns a figure with a title above and the data's source below, and its panels, side by side.

    Args:
        size: width and height in inches; None for the usual size.
    """
    from matplotlib.figure import Figure  # not pyplot, which needs global state and perhaps a window system
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1)
    figure = Figure(figsize=size or (7.2 if panels == 1 else 9.6, 4.8), layout=layout, facecolor="white")
    axes = figure.subplots(1, panels, sharey=True, squeeze=False)[0].tolist()
    head = figure.suptitle(title, x=0.02, ha="left", fontsize=14, fontweight="bold", color=rgb(INK))
    foot = figure.supxlabel(source, x=0.98, ha="right", fontsize=9, color=rgb(SOFT_INK))
    for text in (head, foot):
        text.set_parse_math(False)  # a name with two $ is not a formula
    return figure, axes


def finish(panels: Sequence[Axes], x: str, y: str, titles: Sequence[str] = ("",)) -> None:
    """Adds axis labels with units, a light grid, and a legend above the axes, where it hides nothing."""
    for axes, title in zip(panels, titles, strict=True):
        axes.set_xlabel(x, fontsize=11, color=rgb(INK))
        axes.tick_params(labelsize=10, colors=rgb(INK), length=3)
        axes.grid(axis="y", color=rgb(HAIRLINE), linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(rgb(SOFT_INK))
        legend = axes.legend(
            title=title,
            loc="lower left",
            bbox_to_anchor=(0, 1.01),
            borderaxespad=0,
            borderpad=0,
            alignment="left",
            fontsize=10,
            title_fontproperties={"size": 11, "weight": "bold"},
            frameon=False,
            labelcolor=rgb(INK),
        )
        legend.get_title().set_color(rgb(INK))
        for text in legend.get_texts():
            text.set_parse_math(False)
    panels[0].set_ylabel(y, fontsize=11, color=rgb(INK))
    panels[0].set_ylim(bottom=0)


def rgb(colour: Colour) -> tuple[float, float, float]:
    """Returns a colour in matplotlib's form."""
    return (colour[0] / 255, colour[1] / 255, colour[2] / 255)
