"""Plots that describe a data set and its mask subset, for a report. Matplotlib draws them.

Each plot compares two parts of the data by shares, since the parts differ in size. `plots.json` has the
numbers of all plots in a folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from maskps.datasets.naming import data_name
from maskps.io.files import write_json
from maskps.io.folders import folder_written_atomically
from maskps.pictures.drawing import BLUE, INK, ORANGE
from maskps.pictures.plot_style import finish, new_figure, rgb
from maskps.structures import PersonSearchDataset
from maskps.subset.build import Subset
from maskps.subset.distributions import Series, distributions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RECORD = "plots.json"
_FORMAT, _VERSION = "maskps-plots", 1
_COLOURS = (BLUE, ORANGE)
_LINES = ("-", (0, (3, 1.5)))  # repeat the meaning of the colours
_DPI = 200
_MANY = 400  # with at least so many outlines, bins are narrower
_GROUPS = 20  # of bars; with more numbers, several share a bar. Rounding may make it 30
_TAIL = 0.995  # share of the items that an axis shows one by one


def write_plots(
    dataset: PersonSearchDataset, folder: Path, subset: Subset | None = None, *, force: bool = False
) -> list[Path]:
    """Writes a folder of PNG plots with their numbers, atomically.

    persons_per_image.png, box_heights.png, images_per_identity.png, and mask_area_share.png if the subset
    has outlines. With a subset, its images are compared with the other training images, otherwise the
    training images with the test images.

    Args:
        force: replace plots that were written to `folder` before.

    Returns:
        The paths of the plots.

    Raises:
        OutputExistsError, OutputError: as `folder_written_atomically`.
    """
    all_of_them = distributions(dataset, subset)
    source = f"Data: {data_name(dataset)}"
    pictures = {
        "persons_per_image": _whole_numbers(
            all_of_them.persons_per_image,
            "Persons per image",
            "annotated persons in an image",
            "images",
            source,
        ),
        "box_heights": _heights(all_of_them.labeled_heights, all_of_them.unlabeled_heights, source),
        "images_per_identity": _whole_numbers(
            all_of_them.images_per_identity,
            "Images per identity",
            "images that show the identity",
            "identities",
            source,
        ),
    }
    if any(len(series.values) for series in all_of_them.mask_shares):
        pictures["mask_area_share"] = _mask_shares(all_of_them.mask_shares[0], source)
    with folder_written_atomically(folder, record=RECORD, force=force) as temporary:
        numbers: dict[str, Any] = {"format": _FORMAT, "version": _VERSION, "data": data_name(dataset)}
        for name, (figure, content) in pictures.items():
            figure.savefig(temporary / f"{name}.png", dpi=_DPI, metadata={"Software": None})
            numbers[name] = content
        write_json(temporary / RECORD, numbers)
    return [folder / f"{name}.png" for name in pictures]


_Picture = tuple["Figure", list[dict[str, Any]]]
"""A figure and its numbers: name, n, edges (or starts) of the bins, and counts of each series."""


def _whole_numbers(series: Sequence[Series], title: str, axis: str, items: str, source: str) -> _Picture:
    """Draws bars side by side, a group per number; where there are many numbers, a group per range."""
    values = np.concatenate([one.values for one in series])
    low, high = (int(values.min()), int(values.max())) if len(values) else (0, 0)
    top = min(high, int(np.quantile(values, _TAIL)) + 1) if len(values) else 0
    width = 1 if top - low < _GROUPS else int(_round_width((top - low) / _GROUPS))
    starts = np.arange(low, top + 1, width)  # the last group has all numbers from its start on
    figure, (axes,) = new_figure(title, source)
    content = []
    for index, one in enumerate(series):
        counts = np.bincount(np.minimum((one.values - low) // width, len(starts) - 1), minlength=len(starts))
        look: dict[str, Any] = {"hatch": "////", "edgecolor": "white", "linewidth": 0} if index else {}
        axes.bar(
            np.arange(len(starts)) + (index - (len(series) - 1) / 2) * 0.4,
            _percent(counts, len(one.values)),
            width=0.38,
            color=rgb(_COLOURS[index]),
            label=f"{one.name}: n = {len(one.values):,} {items}{_average('mean', one.values, '.1f')}",
            **look,
        )
        content.append(_numbers(one, starts.tolist(), counts))
    labels = [str(start) if width == 1 else f"{start}\u2013{start + width - 1}" for start in starts.tolist()]
    if high >= starts[-1] + width:
        labels[-1] = f"{starts[-1]}+"
    step = 1 if width == 1 else 1 + len(starts) // 10
    shown = range((len(starts) - 1) % step, len(starts), step)  # the last group always
    axes.set_xticks(list(shown), [labels[group] for group in shown])
    finish([axes], axis, f"share of the {items} (%)")
    return figure, content


def _heights(labeled: Sequence[Series], unlabeled: Sequence[Series], source: str) -> _Picture:
    """Draws two panels with common scales: persons with an identity, and persons without one."""
    values = np.concatenate([one.values for one in (*labeled, *unlabeled)])
    least = min(len(one.values) for one in (*labeled, *unlabeled))
    top = float(values.max()) if len(values) else 100.0
    width = _round_width(top / _bins(least))
    edges = np.arange(0, top + width, width)
    figure, panels = new_figure("Box heights", source, panels=2)
    content = []
    for axes, several, what in zip(panels, (labeled, unlabeled), ("labeled", "unlabeled"), strict=True):
        for index, one in enumerate(several):
            counts, _ = np.histogram(one.values, edges)
            label = f"{one.name}: n = {len(one.values):,}{_average('median', one.values, '.0f')}"
            _steps(axes, edges, _percent(counts, len(one.values)), index, label)
            content.append({"persons": what, **_numbers(one, edges.tolist(), counts)})
        axes.set_xlim(0, edges[-1])
    titles = ("labeled persons", "unlabeled persons")
    finish(panels, "box height (pixels)", f"share of the persons (% per {width:g} pixels)", titles)
    return figure, content


def _mask_shares(one: Series, source: str) -> _Picture:
    """Draws the share of its box that a person covers, with the median as a line."""
    width = 5.0 if len(one.values) < _MANY else 2.5
    edges = np.arange(0, 100 + width, width)
    shares = (100 * one.values).clip(0, 100)
    counts, _ = np.histogram(shares, edges)
    median = float(np.median(shares))
    figure, (axes,) = new_figure("Part of the box that an outline covers", source)
    label = f"{one.name}: n = {len(shares):,} outlines"
    _steps(axes, edges, _percent(counts, len(shares)), 0, label)
    axes.axvline(median, color=rgb(INK), linewidth=1.4, linestyle=":", label=f"median {median:.0f} %")
    axes.set_xlim(0, 100)
    finish([axes], "covered part of the box (%)", f"share of the outlines (% per {width:g} % of the box)")
    return figure, [_numbers(one, edges.tolist(), counts)]


def _steps(
    axes: Axes, edges: NDArray[np.float64], heights: NDArray[np.float64], index: int, label: str
) -> None:
    colour = rgb(_COLOURS[index])
    axes.stairs(heights, edges, fill=True, color=(*colour, 0.16))
    axes.stairs(heights, edges, color=colour, linewidth=1.8, linestyle=_LINES[index], label=label)


def _bins(count: int) -> int:
    """Returns the number of bins that this many values fill without holes."""
    return int(np.clip(1.5 * count**0.5, 12, 40))


def _round_width(width: float) -> float:
    """Returns the nearest number out of 1, 2, 5, 10, 20, ..."""
    units = 10.0 ** np.arange(5)
    steps = np.concatenate([units, 2 * units, 5 * units])
    return float(steps[np.argmin(np.abs(steps - width))])


def _numbers(series: Series, edges: list[Any], counts: NDArray[np.int64]) -> dict[str, Any]:
    return {"name": series.name, "n": len(series.values), "edges": edges, "counts": counts.tolist()}


def _percent(counts: NDArray[np.int64], n: int) -> NDArray[np.float64]:
    return 100 * counts / max(n, 1)


def _average(name: str, values: NDArray[Any], style: str) -> str:
    if not len(values):
        return ""
    return f", {name} {format(float(np.mean(values) if name == 'mean' else np.median(values)), style)}"
