"""The oracle of SeqNet's network: its names, and what its results depend on."""

from __future__ import annotations

from copy import deepcopy

import pytest
import seqnet_oracle
import torch
from seqnet_oracle import SeqNetOracle, published_state_dict, random_image, random_oracle
from torch import Tensor
from torchvision.ops import box_iou

HEIGHT, WIDTH = 120, 200
BOXES = torch.tensor([[10.0, 10, 60, 110], [90, 20, 150, 100]])


def _oracle() -> SeqNetOracle:
    return random_oracle(seed=3, table_size=7, queue_size=5, min_size=128, max_size=220, proposals=40)


@pytest.fixture(scope="module")
def shared() -> SeqNetOracle:
    return _oracle()


@pytest.fixture(scope="module")
def image() -> Tensor:
    return random_image(12, HEIGHT, WIDTH)


@pytest.fixture(scope="module")
def found(shared: SeqNetOracle, image: Tensor) -> seqnet_oracle.Gallery:
    return shared.gallery(image)


def test_the_state_dict_has_the_entries_of_the_published_class(shared: SeqNetOracle) -> None:
    """ResNet-50 with res5 twice 378, proposal network 6, boxes 4 + 7, embedding 19, tables 2."""
    shapes = {name: tuple(value.shape) for name, value in shared.state_dict().items()}
    assert len(shapes) == 416
    assert {name.split(".")[0] for name in shapes} == {"backbone", "rpn", "roi_heads"}
    named = {
        "backbone.conv1.weight": (64, 3, 7, 7),
        "backbone.bn1.num_batches_tracked": (),
        "backbone.layer3.5.conv3.weight": (1024, 256, 1, 1),
        "rpn.head.conv.0.0.weight": (1024, 1024, 3, 3),
        "rpn.head.cls_logits.weight": (15, 1024, 1, 1),
        "rpn.head.bbox_pred.bias": (60,),
        "roi_heads.box_head.layer4.0.downsample.0.weight": (2048, 1024, 1, 1),
        "roi_heads.reid_head.layer4.2.bn3.running_var": (2048,),
        "roi_heads.faster_rcnn_predictor.cls_score.weight": (2, 2048),
        "roi_heads.faster_rcnn_predictor.bbox_pred.weight": (8, 2048),
        "roi_heads.box_predictor.bbox_pred.0.weight": (8, 2048),
        "roi_heads.box_predictor.bbox_pred.1.running_mean": (8,),
        "roi_heads.embedding_head.projectors.feat_res4.0.weight": (128, 1024),
        "roi_heads.embedding_head.projectors.feat_res5.0.weight": (128, 2048),
        "roi_heads.embedding_head.projectors.feat_res5.1.running_var": (128,),
        "roi_heads.embedding_head.rescaler.weight": (1,),
        "roi_heads.reid_loss.lut": (7, 256),
        "roi_heads.reid_loss.cq": (5, 256),
    }
    assert {name: shapes.get(name) for name in named} == named


def test_the_published_spelling_differs_in_two_names_and_loads(shared: SeqNetOracle) -> None:
    today, published = shared.state_dict(), published_state_dict(shared)
    assert set(today) - set(published) == {"rpn.head.conv.0.0.weight", "rpn.head.conv.0.0.bias"}
    assert set(published) - set(today) == {"rpn.head.conv.weight", "rpn.head.conv.bias"}
    other = SeqNetOracle(7, 5)
    other.load_state_dict(published)
    assert all(torch.equal(value, today[name]) for name, value in other.state_dict().items())


def test_a_seed_gives_the_same_weights(shared: SeqNetOracle) -> None:
    again = _oracle().state_dict()
    assert all(torch.equal(value, again[name]) for name, value in shared.state_dict().items())


@pytest.mark.parametrize(("height", "width"), [(120, 200), (150, 110), (260, 400)])
def test_some_proposals_become_detections_and_some_do_not(
    shared: SeqNetOracle, height: int, width: int
) -> None:
    found = shared.gallery(random_image(11, height, width))
    assert 3 <= len(found.boxes) < 40
    assert found.scores.min() > 0.5 and torch.equal(found.scores, found.scores.sort(descending=True).values)
    assert found.boxes.min() >= 0 and found.boxes[:, 2].max() <= width and found.boxes[:, 3].max() <= height


def test_images_of_another_kind_have_detections_after_the_weights_were_set_by_them(
    shared: SeqNetOracle,
) -> None:
    night = [0.05 * random_image(seed, HEIGHT, WIDTH) for seed in (1, 2)]
    assert len(shared.gallery(night[0]).boxes) < 3
    for_night = random_oracle(3, 7, 5, min_size=128, max_size=220, proposals=40, images=night)
    assert 3 <= len(for_night.gallery(night[0]).boxes) < 40


def test_boxes_are_in_the_pixels_of_the_image_given(
    shared: SeqNetOracle, image: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every pixel four times: at the size of the first image, bilinear resizing gives its pixels back."""
    monkeypatch.setattr(shared.transform, "min_size", (HEIGHT,))
    once = shared.gallery(image)
    large = image.repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)
    twice = shared.gallery(large)
    torch.testing.assert_close(twice.boxes, 2 * once.boxes, atol=0.01, rtol=0)
    torch.testing.assert_close(shared.query(large, 2 * BOXES), shared.query(image, BOXES), atol=1e-4, rtol=0)


def test_an_embedding_in_a_gallery_is_as_long_as_its_score(
    shared: SeqNetOracle, image: Tensor, found: seqnet_oracle.Gallery
) -> None:
    torch.testing.assert_close(found.embeddings.norm(dim=1), found.scores)
    plain = shared.gallery(image, score_weighted=False)
    torch.testing.assert_close(plain.embeddings.norm(dim=1), torch.ones(len(found.scores)))
    torch.testing.assert_close(plain.embeddings * found.scores[:, None], found.embeddings)
    assert torch.equal(plain.boxes, found.boxes)


def test_a_query_is_of_length_one_and_needs_no_proposals(shared: SeqNetOracle, image: Tensor) -> None:
    embeddings = shared.query(image, BOXES)
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(2))
    torch.testing.assert_close(embeddings[1:], shared.query(image, BOXES[1:]))
    changed = deepcopy(shared)
    for part in (changed.rpn.head, changed.roi_heads.box_head, changed.roi_heads.faster_rcnn_predictor):
        for value in part.parameters():
            value.data.zero_()
    assert torch.equal(changed.query(image, BOXES), embeddings)


def test_the_second_suppression_is_at_one_half(
    shared: SeqNetOracle, image: Tensor, found: seqnet_oracle.Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seqnet_oracle, "SECOND_NMS", 1.0)
    everything = shared.gallery(image)
    assert len(everything.boxes) > len(found.boxes)
    assert box_iou(found.boxes, found.boxes).fill_diagonal_(0).max() <= 0.5
    dropped = [box for box in everything.boxes if not (box == found.boxes).all(1).any()]
    assert all(box_iou(box[None], found.boxes).max() > 0.5 for box in dropped)


def test_the_first_suppression_is_at_four_tenths(
    shared: SeqNetOracle, image: Tensor, found: seqnet_oracle.Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared.roi_heads, "nms_thresh", 0.9)
    assert len(shared.gallery(image).boxes) > len(found.boxes)


def test_scores_are_of_the_first_head_and_never_of_the_norm(
    shared: SeqNetOracle, image: Tensor, found: seqnet_oracle.Gallery
) -> None:
    changed = deepcopy(shared)
    changed.roi_heads.embedding_head["rescaler"].bias.data.add_(3)
    assert all(torch.equal(*pair) for pair in zip(changed.gallery(image), found, strict=True))
    torch.testing.assert_close(changed.person_logits(image, BOXES), shared.person_logits(image, BOXES) + 3)


def test_an_image_of_background_has_no_detection(shared: SeqNetOracle, image: Tensor) -> None:
    changed = deepcopy(shared)
    changed.roi_heads.faster_rcnn_predictor.cls_score.bias.data[0] += 100
    assert [tuple(part.shape) for part in changed.gallery(image)] == [(0, 4), (0,), (0, 256)]
