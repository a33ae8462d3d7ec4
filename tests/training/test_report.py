"""metrics.jsonl on a full disk, and the speed of a run by a clock that the test sets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from maskps import OutputError
from maskps.training import report as report_module
from maskps.training.report import MetricsFile, Pace, StepReport, Stopwatch

FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="/dev/full is a device of Linux")
def test_a_full_disk_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = StepReport(1, 9, 1, 1, 0.01, {}, images_per_second=5.0, waiting=0.25, eta=1.0)
    metrics = MetricsFile(tmp_path / "m", step=0)
    metrics._file.close()
    monkeypatch.setattr(metrics, "_file", FULL.open("a", encoding="utf-8"))
    with pytest.raises(OutputError, match="free some space"), closing(metrics):
        metrics.write(report)


class Clock:
    """A clock that only the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now


def test_a_stopwatch_adds_steps_and_waiting_and_leaves_out_what_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(report_module, "time", clock)

    def slow_batches() -> Iterator[int]:
        for images in (4, 2, 4):
            clock.now += 1.0  # loading
            yield images

    watch = Stopwatch(tmp_path / "timing.jsonl", steps_per_epoch=2)
    for step, images in enumerate(watch.waiting_for(slow_batches()), start=1):
        clock.now += 3.0  # computing
        watch.has_step(images, step)
        clock.now += 50.0  # an evaluation
        watch.skip()
    assert watch.total == watch.recent == Pace(steps=3, images=10, seconds=12.0, waiting=3.0)
    assert watch.total.images_per_second == pytest.approx(10 / 12)
    (line,) = [json.loads(text) for text in (tmp_path / "timing.jsonl").read_text().splitlines()]
    assert line == {
        **{"epoch": 1, "steps": 2, "images": 6, "seconds": 8.0, "seconds_waiting": 2.0},
        "images_per_second": 0.75,
    }


def test_recent_steps_are_the_last_fifty(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(report_module, "time", clock)
    watch = Stopwatch(None, steps_per_epoch=100)
    for step in range(1, 61):
        clock.now += 1.0 if step > 10 else 30.0
        watch.has_step(2, step)
    assert watch.recent == Pace(steps=50, images=100, seconds=50.0)
    assert watch.total.steps == 60


def test_without_a_step_there_is_no_speed() -> None:
    assert Stopwatch(None, steps_per_epoch=1).total.images_per_second == 0.0
