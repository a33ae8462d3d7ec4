"""The whole pipeline in one command, on a few scenes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import invoke
from PIL import Image

from maskps import OutputExistsError, TrainingError
from maskps.datasets import open_dataset
from maskps.datasets.protocols import open_protocol
from maskps.gallery import Gallery
from maskps.synthetic import SynthScale
from maskps_cli.demo import run_demo
from maskps_cli.main import main

QUICK = ("pretrained=none", "epochs=1", "shorter_side=96", "longest_side=160", "rois_per_image=8")

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def demo(few_scenes_scale: SynthScale, tmp_path_factory: pytest.TempPathFactory) -> Path:
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
    assert numbers["mask_quality"]["test_persons"] > 0 == numbers["mask_quality"]["train_persons"]
    for name in ("subset.png", "search.png", "masks.png"):
        with Image.open(demo / name) as picture:
            assert min(picture.size) > 200


def test_the_demo_searches_in_its_test_scenes_as_in_ones_own_photos(demo: Path) -> None:
    """All test scenes but the query's own, which would be the first hit."""
    with Gallery.open(str(demo / "demo.gallery"), create=False) as gallery:
        names = {Path(source.path).name for source in gallery.sources()}
    protocol = open_protocol(open_dataset(demo / "scenes"), "TestG6")
    query = str(protocol.image_names[protocol.query_scenes[0]])
    assert names == {str(name) for name in protocol.image_names} - {query}
    page = (demo / "hits.html").read_text(encoding="utf-8")
    assert query in page and "not identity" in page


def test_an_earlier_demo_is_kept_without_force(demo: Path) -> None:
    result = invoke(main, "demo", "--out", demo)
    assert result.exit_code == 1
    assert "--force" in result.stderr
    assert json.loads((demo / "demo.json").read_text())["state"] == "done"


def test_a_folder_of_the_users_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("keep")
    with pytest.raises(OutputExistsError, match="did not make"):
        run_demo(tmp_path, force=True)
    assert (tmp_path / "notes.txt").read_text() == "keep"


@pytest.mark.parametrize("step", ["write_synthetic", "train"])
def test_an_interrupted_demo_says_how_to_begin_again(
    tmp_path: Path, few_scenes_scale: SynthScale, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    def demo() -> None:
        run_demo(tmp_path / "demo", scale=few_scenes_scale, settings=QUICK, quiet=True, force=True)

    with monkeypatch.context() as patched:
        patched.setattr(f"maskps_cli.demo.{step}", interrupted)
        with pytest.raises(TrainingError, match="--force"):
            demo()
        assert json.loads((tmp_path / "demo" / "demo.json").read_text())["state"] == "running"
        with pytest.raises(TrainingError, match="--force"):  # and not: a folder with other content
            demo()


def test_a_seed_that_training_refuses_is_refused_before_the_scenes_are_drawn(tmp_path: Path) -> None:
    result = invoke(main, "demo", "--out", tmp_path / "demo", "--seed", 2**31)
    assert result.exit_code == 2
    assert "'--seed'" in result.stderr and f"{2**31 - 1:,}" in result.stderr
    assert not (tmp_path / "demo").exists()


@pytest.mark.parametrize("place", ["scenes/Image/SSM", "subset"])
def test_force_keeps_what_the_user_put_into_a_demo(demo: Path, place: str) -> None:
    mine = demo / place / "mine.txt"
    mine.write_text("years of work")
    result = invoke(main, "demo", "--out", demo, "--force")
    assert result.exit_code == 1
    assert "mine.txt" in result.stderr
    assert mine.read_text() == "years of work"
    mine.unlink()


def test_a_file_is_never_replaced_by_a_demo(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("keep")
    for out in (tmp_path / "notes", tmp_path / "notes" / "demo"):
        result = invoke(main, "demo", "--out", out, "--force")
        assert result.exit_code == 1
        assert "expected:" in result.stderr
    assert (tmp_path / "notes").read_text() == "keep"
