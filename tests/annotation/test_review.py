"""What the review page is made of: persons, pictures, findings, other drawings; how it is written."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from two_person_scenes import build, draw, polygon, write_scenes

from maskps.errors import AnnotationError, InputFileError, OutputExistsError
from maskps.masks import Outline, outline_from_polygons, read_labelme, write_labelme
from maskps.masks.proposed_outlines import ProposedOutline
from maskps.structures import PersonSearchDataset, Scene
from maskps.subset import open_subset, read_targets
from maskps_annotation.collect_packs import collect_packs
from maskps_annotation.decisions import outline_key
from maskps_annotation.pack_record import PackSet
from maskps_annotation.packs import write_packs
from maskps_annotation.review import write_review
from maskps_annotation.review_persons import review_persons
from maskps_annotation.review_pictures import frame_of_person, picture_of_frame


def outline(person: int, inset: float = 1.0) -> Outline:
    return outline_from_polygons([polygon(person, inset)], where="test")


@pytest.fixture
def dataset(tmp_path: Path) -> PersonSearchDataset:
    return write_scenes(tmp_path / "data", ["a.jpg", "b.jpg"])


@pytest.fixture
def subset(dataset: PersonSearchDataset, tmp_path: Path) -> Path:
    """Outlines of the first three of four persons."""
    return build(dataset, tmp_path / "subset", {0: outline(0), 1: outline(1), 2: outline(0, 4)})


@pytest.fixture
def packs(dataset: PersonSearchDataset, subset: Path, tmp_path: Path) -> PackSet:
    """Both annotators have both scenes."""
    return write_packs(subset, dataset, tmp_path / "packs", annotators=["ann", "bob"], double=1.0)


def content_of(page: Path) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="content">(.*?)</script>', page.read_text())
    assert found is not None
    return dict(json.loads(found[1]))


def pictures_of(page: Path) -> list[Image.Image]:
    found = re.findall(r'<script type="text/plain" id="picture-\d+">(.*?)</script>', page.read_text())
    return [Image.open(io.BytesIO(base64.b64decode(one))) for one in found]


def test_the_page_refers_to_nothing_outside(
    subset: Path, dataset: PersonSearchDataset, tmp_path: Path
) -> None:
    write_review(subset, dataset, tmp_path / "review.html")
    text = (tmp_path / "review.html").read_text()
    addresses = set(re.findall(r"https?://[^\"' ]+", text)) - {"http://www.w3.org/2000/svg"}
    assert addresses == set()
    assert not re.search(r"<link|@import|url\((?!#)|<(img|script|iframe)[^>]* src", text)


def test_every_labeled_person_is_on_the_page_once(
    subset: Path, dataset: PersonSearchDataset, tmp_path: Path
) -> None:
    made = write_review(subset, dataset, tmp_path / "review.html")
    content = content_of(tmp_path / "review.html")
    persons = [(one["scene"], one["person"], one["identity"]) for one in content["persons"]]
    assert persons == [("a.jpg", 0, "id1"), ("a.jpg", 1, "id2"), ("b.jpg", 0, "id3"), ("b.jpg", 1, "id4")]
    assert [one["outline"] for one in content["persons"]] == [
        outline_key(one) for one in (outline(0), outline(1), outline(0, 4), None)
    ]
    assert (made.persons, made.missing, len(pictures_of(tmp_path / "review.html"))) == (4, 1, 4)
    assert made.bytes == (tmp_path / "review.html").stat().st_size


def test_the_targets_are_those_of_the_subset(
    subset: Path, dataset: PersonSearchDataset, tmp_path: Path
) -> None:
    write_review(subset, dataset, tmp_path / "review.html")
    cells = [
        np.unpackbits(np.frombuffer(bytes.fromhex(one["target"]), np.uint8))[: 14 * 14].reshape(14, 14)
        for one in content_of(tmp_path / "review.html")["persons"]
    ]
    assert (np.array(cells[:3]) == read_targets(subset / "targets_14x14.npz").target).all()
    assert not cells[3].any()


def test_share_and_what_sticks_out_are_measured(dataset: PersonSearchDataset, tmp_path: Path) -> None:
    """A square of 20 x 20 in a box of 20 x 60, half of it beyond the right side."""
    moved = outline_from_polygons([[(20, 20), (40, 20), (40, 40), (20, 40)]], where="test")
    folder = build(dataset, tmp_path / "subset", {0: moved})
    first = review_persons(folder, open_subset(folder, dataset), dataset)[0]
    assert first.share == pytest.approx(400 / 1200)
    assert first.outside == pytest.approx(0.5)


def test_an_outline_is_placed_in_the_picture_of_its_person() -> None:
    """A box of 100 x 400 with 48 pixels of margin at each side: 196 x 496, shown as 101 x 256."""
    whole = outline_from_polygons([[(100, 100), (200, 100), (200, 500), (100, 500)]], where="test")
    frame = frame_of_person(np.array([100, 100, 200, 500]), [whole], (1000, 1000))
    assert frame.region.tolist() == [52, 52, 248, 548]
    assert frame.size == (101, 256)
    left, right, top, bottom = 48 * 101 / 196, 148 * 101 / 196, 48 * 256 / 496, 448 * 256 / 496
    assert frame.path(whole) == (
        f"M{left:.1f} {top:.1f}L{right:.1f} {top:.1f}L{right:.1f} {bottom:.1f}L{left:.1f} {bottom:.1f}Z"
    )


def test_a_picture_is_cut_at_the_image_and_never_enlarged() -> None:
    frame = frame_of_person(np.array([0, 0, 20, 50]), [], (100, 90))
    assert frame.region.tolist() == [0, 0, 26, 56]
    assert frame.size == (26, 56)


@pytest.mark.parametrize("box", [[-50, -50, -10, -10], [120, 100, 150, 180], [99.5, 89.5, 99.6, 89.6]])
def test_a_box_outside_its_image_has_a_picture_too(box: list[float]) -> None:
    frame = frame_of_person(np.array(box), [], (100, 90))
    with Image.open(io.BytesIO(picture_of_frame(Image.new("RGB", (100, 90)), frame))) as picture:
        assert picture.size == frame.size


def test_the_picture_shows_the_place_of_the_box(
    subset: Path, dataset: PersonSearchDataset, tmp_path: Path
) -> None:
    """A pixel is as bright as the number of its column in the scene."""
    write_review(subset, dataset, tmp_path / "review.html")
    picture = np.asarray(pictures_of(tmp_path / "review.html")[1].convert("RGB"))[..., 0].astype(float)
    assert picture.shape == (76, 46)
    assert abs(picture.mean(axis=0) - np.arange(42, 88)).max() < 4


def test_errors_come_first_then_warnings_and_missing_persons_last(
    packs: PackSet, subset: Path, dataset: PersonSearchDataset, tmp_path: Path
) -> None:
    bow_tie = polygon(0)[[0, 2, 1, 3]]
    whole = np.array([(50, 10), (80, 10), (80, 70), (50, 70)], dtype=float)
    draw(packs, "ann", "a.jpg", {"p1": bow_tie, "p2": whole})
    draw(packs, "bob", "a.jpg", {"p1": polygon(0), "p2": polygon(1)})
    made = write_review(subset, dataset, tmp_path / "review.html", packs=packs)
    persons = content_of(tmp_path / "review.html")["persons"]
    assert [one["rank"] for one in persons] == [0, 1, 2, 3]
    assert [(one["who"], one["code"]) for one in persons[0]["findings"]] == [("ann", "self-crossing")]
    assert [(one["who"], one["code"]) for one in persons[1]["findings"]] == [("ann", "area-large")]
    assert (made.errors, made.warnings) == (1, 1)


def test_an_error_about_a_file_is_shown_at_every_person_in_it(
    packs: PackSet, subset: Path, dataset: PersonSearchDataset
) -> None:
    (packs.packs[0].folder / "a.json").write_text("{")
    persons = review_persons(subset, open_subset(subset, dataset), dataset, packs)
    codes = [[finding.code for finding in one.findings] for one in persons]
    assert codes == [["file-unreadable"], ["file-unreadable"], [], []]


def test_a_drawing_of_another_annotator_and_the_one_before_are_shown(
    packs: PackSet, subset: Path, dataset: PersonSearchDataset
) -> None:
    draw(packs, "ann", "a.jpg", {"p1": polygon(0, 2)})
    draw(packs, "bob", "a.jpg", {"p1": polygon(0, 3)})
    collect_packs(packs, subset, dataset)
    draw(packs, "ann", "a.jpg", {"p1": polygon(0, 5)})
    collect_packs(packs, subset, dataset)
    first, second = review_persons(subset, open_subset(subset, dataset), dataset)[:2]
    assert first.drawn_by == "ann"
    assert outline_key(first.outline) == outline_key(outline(0, 5))
    listed = {other.what: outline_key(other.outline) for other in first.others}
    assert listed == {
        "ann, before": outline_key(outline(0, 2)),
        "bob, not used": outline_key(outline(0, 3)),
        "in the subset before": outline_key(outline(0)),
    }
    before = first.others[0]
    assert before.iou == pytest.approx(outline(0, 5).area / outline(0, 2).area)
    assert before.changed_cells and before.changed_cells > 0
    assert (second.drawn_by, second.others) == ("", ())


def test_a_store_that_is_gone_costs_only_the_other_drawings(
    packs: PackSet, subset: Path, dataset: PersonSearchDataset
) -> None:
    draw(packs, "ann", "a.jpg", {"p1": polygon(0, 2)})
    collect_packs(packs, subset, dataset)
    subset.with_name("subset.store").rename(subset.with_name("elsewhere"))
    first = review_persons(subset, open_subset(subset, dataset), dataset)[0]
    assert (first.drawn_by, first.others) == ("ann", ())


def test_the_same_subset_gives_the_same_bytes(
    packs: PackSet, subset: Path, dataset: PersonSearchDataset, tmp_path: Path
) -> None:
    for name in ("one.html", "two.html"):
        write_review(subset, dataset, tmp_path / name, packs=packs)
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


def test_progress_counts_files_and_images_to_the_end(
    packs: PackSet, subset: Path, dataset: PersonSearchDataset, tmp_path: Path
) -> None:
    listed: list[tuple[int, int]] = []
    write_review(
        subset, dataset, tmp_path / "r.html", packs=packs, progress=lambda *counts: listed.append(counts)
    )
    assert listed == [(done, 6) for done in range(1, 7)]


def test_names_end_no_element_of_the_page(dataset: PersonSearchDataset, tmp_path: Path) -> None:
    name = "</script><b>.jpg"
    (dataset.root / name).parent.mkdir()
    (dataset.root / "a.jpg").rename(dataset.root / name)
    odd = replace(dataset, train=replace(dataset.train, names=np.array([name, "b.jpg"])))
    folder = build(odd, tmp_path / "<script>&", {})
    write_review(folder, odd, tmp_path / "review.html")
    text = (tmp_path / "review.html").read_text()
    assert content_of(tmp_path / "review.html")["persons"][0]["scene"] == name
    assert "<b>" not in text
    assert "<title>Review: &lt;script&gt;&amp;</title>" in text


def missing_image(folder: Path) -> None:
    (folder / "b.jpg").unlink()


def broken_image(folder: Path) -> None:
    content = (folder / "b.jpg").read_bytes()
    (folder / "b.jpg").write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize("damage", [missing_image, broken_image])
def test_an_image_that_cannot_be_read_is_one_error_that_names_it(
    subset: Path, dataset: PersonSearchDataset, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    damage(dataset.root)
    with pytest.raises(InputFileError) as caught:
        write_review(subset, dataset, tmp_path / "review.html")
    assert "b.jpg" in str(caught.value)
    assert caught.value.hint
    assert not (tmp_path / "review.html").exists()


def test_a_page_is_replaced_only_with_force(
    subset: Path, dataset: PersonSearchDataset, tmp_path: Path
) -> None:
    out = tmp_path / "review.html"
    write_review(subset, dataset, out)
    with pytest.raises(OutputExistsError, match="--force"):
        write_review(subset, dataset, out)
    out.write_text(out.read_text() + "old")
    write_review(subset, dataset, out, force=True)
    assert not out.read_text().endswith("old")


def test_another_file_is_not_replaced_even_with_force(
    subset: Path, dataset: PersonSearchDataset, tmp_path: Path
) -> None:
    out = tmp_path / "thesis.html"
    out.write_text("<!DOCTYPE html><title>years of work</title>")
    with pytest.raises(OutputExistsError):
        write_review(subset, dataset, out, force=True)
    assert "years of work" in out.read_text()


def test_a_folder_in_place_of_the_page_is_said(
    subset: Path, dataset: PersonSearchDataset, tmp_path: Path
) -> None:
    with pytest.raises(OutputExistsError, match="folder"):
        write_review(subset, dataset, tmp_path, force=True)


def test_packs_of_another_data_set_are_refused(
    packs: PackSet, subset: Path, dataset: PersonSearchDataset, tmp_path: Path
) -> None:
    with pytest.raises(AnnotationError, match="another data set") as caught:
        write_review(subset, dataset, tmp_path / "review.html", packs=replace(packs, fingerprint="f2"))
    assert caught.value.hint


def test_of_many_versions_only_the_latest_other_one_is_shown(
    packs: PackSet, subset: Path, dataset: PersonSearchDataset
) -> None:
    for inset in (2, 3, 4):
        draw(packs, "ann", "b.jpg", {"p2": polygon(1, inset)})
        collect_packs(packs, subset, dataset)
    last = review_persons(subset, open_subset(subset, dataset), dataset)[-1]
    listed = [(other.what, outline_key(other.outline)) for other in last.others]
    assert listed == [("ann, before", outline_key(outline(1, 3)))]


def test_a_corrected_proposal_names_both_and_shows_what_was_proposed(
    dataset: PersonSearchDataset, tmp_path: Path
) -> None:
    class Fake:
        def propose(self, scene: Scene, image: np.ndarray) -> dict[int, ProposedOutline]:
            return {person: ProposedOutline(outline(person), 0.5, "run first") for person in (0, 1)}

    folder = build(dataset, tmp_path / "empty")
    made = write_packs(folder, dataset, tmp_path / "proposed", annotators=["ann"], proposer=Fake())
    path = made.packs[0].folder / "a.json"
    file = read_labelme(path)
    *others, last = file.shapes
    moved = replace(last, points=last.points + np.eye(6)[:, :1] * (3, 3))
    write_labelme(path, replace(file, shapes=(*others, moved), flags={"proposals-checked": True}))
    collect_packs(made, folder, dataset)
    write_review(folder, dataset, tmp_path / "review.html")
    first, second, *rest = content_of(tmp_path / "review.html")["persons"]
    assert first["proposal"] == {"by": "run first", "moved": 0, "added": 0, "deleted": 0}
    assert second["proposal"] == {"by": "run first", "moved": 1, "added": 0, "deleted": 0}
    assert first["by"] == second["by"] == "ann"
    assert first["others"] == [] and [one["what"] for one in second["others"]] == ["proposed by run first"]
    assert not any("proposal" in one for one in rest)
