"""The whole pipeline in one command, on a few scenes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from maskps import OutputExistsError
from maskps.synthetic import SynthScale
from maskps_cli.demo import run_demo
from maskps_cli.main import main

QUICK = ("pretrained=none", "epochs=1", "shorter_side=96", "longest_side=160", "rois_per_image=8")


@pytest.fixture(scope="module")
def demo(few_scenes_scale: SynthScale, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("demo") / "demo"
    run_demo(out, scale=few_scenes_scale, settings=QUICK, quiet=True)
    return out


def test_the_demo_leaves_numbers_and_pictures(demo: Path) -> None:
    numbers = json.loads((demo / "demo.json").read_text())
    assert numbers["state"] == "done"
    assert numbers["data"] == "synthetic"
    assert numbers["table1"]["with_masks"]["images"] + numbers["table1"]["without_masks"]["images"] == 12
    for network in ("untrained", "trained"):
        assert 0 <= numbers[network]["mAP"] <= 1
    for name in ("subset.png", "search.png"):
        with Image.open(demo / name) as picture:
            assert min(picture.size) > 200


def test_an_earlier_demo_is_kept_without_force(demo: Path) -> None:
    result = CliRunner().invoke(main, ["demo", "--out", str(demo)])
    assert result.exit_code == 1
    assert "--force" in result.stderr
    assert json.loads((demo / "demo.json").read_text())["state"] == "done"


def test_a_folder_of_the_users_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("keep")
    with pytest.raises(OutputExistsError, match="did not make"):
        run_demo(tmp_path, force=True)
    assert (tmp_path / "notes.txt").read_text() == "keep"
