"""The scripts of examples/ run on a small synthetic set and agree with the commands."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import invoke

from maskps.datasets import open_dataset
from maskps.subset import open_subset
from maskps_cli.data import main as maskps_data
from maskps_cli.main import main as maskps

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def run(script: str, *arguments: object) -> str:
    command = [sys.executable, str(EXAMPLES / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def subset(few_scenes: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "subset"
    arguments = ("build-subset", few_scenes, "--out", folder, "--labelme", few_scenes / "truth" / "labelme")
    assert invoke(maskps_data, *arguments).exit_code == 0
    return folder


def test_mask_targets_follow_the_persons_of_scaled_and_flipped_images(few_scenes: Path, subset: Path) -> None:
    printed = re.findall(r": (\d+) targets, (\d+)% of", run("mask_targets.py", few_scenes, subset))
    outlines = open_subset(subset, open_dataset(few_scenes)).masks.outlines
    assert sum(int(count) for count, _ in printed) == len(outlines)
    assert all(int(covered) >= 30 for _, covered in printed)


def test_detections_score_the_same_as_by_the_command(few_scenes: Path, tmp_path: Path) -> None:
    file = tmp_path / "detections.npz"
    printed = run("score_detections.py", few_scenes, "TestG4", file)
    score = ("score", "--protocol", few_scenes, "--gallery-size", 4, "--detections", file, "--json")
    (result,) = json.loads(invoke(maskps, *score).stdout)["results"]
    numbers = f"mAP {result['mAP']:.1%}, top-1 {result['top1']:.1%}"
    assert printed == f"{result['queries']} queries: {numbers}\n"


def test_the_subset_is_that_of_build_subset(few_scenes: Path, subset: Path, tmp_path: Path) -> None:
    printed = run("subset_and_table1.py", few_scenes, tmp_path / "own")
    stats = invoke(maskps_data, "stats", few_scenes, "--subset", subset, "--format", "markdown").stdout
    rows = [line for line in stats.splitlines() if line.startswith("| Images with")]
    assert rows and all(row in printed for row in rows)
    dataset = open_dataset(few_scenes)
    own, drawn = (open_subset(folder, dataset).kept_rows for folder in (tmp_path / "own", subset))
    assert own.tolist() == drawn.tolist()
    assert all(name in printed for name in dataset.train.names[own])
