"""metrics.jsonl: what it says when it cannot be written."""

from __future__ import annotations

from pathlib import Path

import pytest

from maskps import OutputError
from maskps.training.metrics_file import MetricsFile

FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="/dev/full is a device of Linux")
def test_a_full_disk_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OutputError, match="free some space"), MetricsFile(tmp_path / "m", step=0) as metrics:
        metrics._file.close()
        monkeypatch.setattr(metrics, "_file", FULL.open("a", encoding="utf-8"))
        metrics.write({"step": 1})
