"""metrics.jsonl: what it says when it cannot be written."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from maskps import OutputError
from maskps.training.report import MetricsFile, StepReport

FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="/dev/full is a device of Linux")
def test_a_full_disk_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = StepReport(1, 9, 1, 1, 0.01, {}, images_per_second=5.0, waiting=0.25, eta=1.0)
    metrics = MetricsFile(tmp_path / "m", step=0)
    metrics._file.close()
    monkeypatch.setattr(metrics, "_file", FULL.open("a", encoding="utf-8"))
    with pytest.raises(OutputError, match="free some space"), closing(metrics):
        metrics.write(report)
