"""The plan: counts, disjointness, galleries."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from maskps.datasets.cuhk_sysu.reader import read_cuhk_sysu
from maskps.errors import ConfigError
from maskps.protocols.protocol import SearchProtocol, read_protocol
from maskps.structures import PersonSearchDataset
from maskps.synthetic import SCALES, SplitScale, SynthScale, write_synthetic
from maskps.synthetic.plan import SplitPlan, plan_splits

SMALL = SynthScale(
    200,
    (0.18, 0.42),
    SplitScale(40, 5, 9, 44, 60, 6, (3, 6)),
    SplitScale(30, 0, 8, 36, 40, 7, (3, 6)),
    galleries=(10, 20),
    occluded=2,
    low_resolution=3,
    subset_gallery=10,
)


@pytest.fixture(scope="module", params=["tiny", "small"])
def splits(request: pytest.FixtureRequest) -> tuple[SplitPlan, SplitPlan]:
    return plan_splits(SCALES[request.param], seed=1)


@pytest.fixture(scope="module")
def sketched(tmp_path_factory: pytest.TempPathFactory) -> PersonSearchDataset:
    root = tmp_path_factory.mktemp("sketched") / "data"
    write_synthetic(root, scale=SMALL, seed=2, images=False)
    return read_cuhk_sysu(root)


@pytest.fixture(scope="module")
def protocols(sketched: PersonSearchDataset) -> dict[str, SearchProtocol]:
    folder = sketched.root / "annotation/test"
    paths = [*(folder / "train_test").glob("TestG*.mat"), *(folder / "subset").glob("*.mat")]
    return {path.stem: read_protocol(path) for path in paths}


def test_the_full_scale_has_the_published_counts() -> None:
    train, test = SCALES["cuhk-sysu"].train, SCALES["cuhk-sysu"].test
    assert (train.scenes, train.unlabeled_only, train.identities) == (11_206, 1_490, 5_532)
    assert train.labeled + train.unlabeled == 55_272 and train.labeled == 15_085
    assert (test.scenes, test.identities, test.labeled) == (6_978, 2_900, 8_345)
    assert test.labeled + test.unlabeled == 40_871


def test_the_plan_of_the_full_scale_keeps_to_them() -> None:
    for split, counts in zip(
        plan_splits(SCALES["cuhk-sysu"], seed=0),
        (SCALES["cuhk-sysu"].train, SCALES["cuhk-sysu"].test),
        strict=True,
    ):
        _check_counts(split, counts)
        _check_identities(split)


def _check_counts(split: SplitPlan, counts: SplitScale) -> None:
    pids = np.concatenate([scene.pids for scene in split.scenes])
    assert len(split.scenes) == counts.scenes
    assert (pids > 0).sum() == counts.labeled and (pids == -1).sum() == counts.unlabeled
    assert set(pids[pids > 0].tolist()) == set(range(1, counts.identities + 1))
    assert sum((scene.pids < 0).all() for scene in split.scenes) == counts.unlabeled_only
    assert min(len(scene.pids) for scene in split.scenes) >= 1


def _check_identities(split: SplitPlan) -> None:
    for scene in split.scenes:
        known = scene.pids[scene.pids > 0]
        assert len(set(known.tolist())) == len(known)


def test_counts_and_identities_of_the_smaller_scales(splits: tuple[SplitPlan, SplitPlan]) -> None:
    name = "tiny" if len(splits[0].scenes) == SCALES["tiny"].train.scenes else "small"
    for split, counts in zip(splits, (SCALES[name].train, SCALES[name].test), strict=True):
        _check_counts(split, counts)
        _check_identities(split)
        shown = np.bincount(np.concatenate([scene.pids[scene.pids > 0] for scene in split.scenes]))[1:]
        assert shown.min() >= counts.appearances[0] and shown.max() <= counts.appearances[1]


def test_nobody_is_labeled_twice_before_the_same_camera(splits: tuple[SplitPlan, SplitPlan]) -> None:
    for split in splits:
        pairs = [(scene.camera, pid) for scene in split.scenes for pid in scene.pids[scene.pids > 0].tolist()]
        assert len(set(pairs)) > 0.97 * len(pairs)


def test_train_and_test_share_no_scene_identity_or_camera(splits: tuple[SplitPlan, SplitPlan]) -> None:
    train, test = splits
    assert not {scene.name for scene in train.scenes} & {scene.name for scene in test.scenes}
    assert not set(train.ids.tolist()) & set(test.ids.tolist())
    assert not {camera.seed for camera in train.cameras} & {camera.seed for camera in test.cameras}
    assert not {train.identity_seed(1)} & {test.identity_seed(1)}


def test_another_seed_gives_another_plan() -> None:
    first, second = (plan_splits(SMALL, seed=seed)[0] for seed in (1, 2))
    assert any((a.pids.tolist() != b.pids.tolist()) for a, b in zip(first.scenes, second.scenes, strict=True))


def test_there_is_one_query_per_test_identity(
    sketched: PersonSearchDataset, protocols: dict[str, SearchProtocol]
) -> None:
    assert sorted(protocols) == ["Occlusion", "Resolution", "TestG10", "TestG20"]
    assert sorted(protocols["TestG10"].query_ids) == sorted(sketched.test_ids)
    assert len(set(protocols["TestG10"].query_ids.tolist())) == 8


def test_true_entries_come_first_and_are_all_other_scenes_of_the_query(
    sketched: PersonSearchDataset, protocols: dict[str, SearchProtocol]
) -> None:
    protocol, test = protocols["TestG20"], sketched.test
    ids = np.append(sketched.test_ids, "")[test.pids - 1]
    for query, identity in enumerate(protocol.query_ids):
        truth = slice(protocol.truth_offsets[query], protocol.truth_offsets[query + 1])
        count = truth.stop - truth.start
        assert protocol.truth_positions[truth].tolist() == list(range(count))
        entries = protocol.image_names[protocol.galleries[query]]
        shown = {
            str(test.names[scene]) for scene in test.scene_of_person[(ids == identity) & test.is_labeled]
        }
        own = str(protocol.image_names[protocol.query_scenes[query]])
        assert set(entries[:count].tolist()) == shown - {own}
        assert own not in entries and not set(entries[count:].tolist()) & shown
        assert len(set(entries.tolist())) == 20


def test_larger_galleries_begin_with_the_smaller(protocols: dict[str, SearchProtocol]) -> None:
    small, large = protocols["TestG10"], protocols["TestG20"]
    for query in range(small.num_queries):
        short = small.image_names[small.galleries[query]].tolist()
        assert large.image_names[large.galleries[query]].tolist()[:10] == short


def test_resolution_holds_the_smallest_queries(protocols: dict[str, SearchProtocol]) -> None:
    def areas(protocol: SearchProtocol) -> np.ndarray:
        boxes = protocol.query_boxes
        return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])

    everyone = np.sort(areas(protocols["TestG10"]))
    np.testing.assert_array_equal(np.sort(areas(protocols["Resolution"])), everyone[:3])


def test_sketched_boxes_lie_in_plausible_images(sketched: PersonSearchDataset) -> None:
    boxes = sketched.train.boxes
    wide, tall = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    assert (boxes >= 0).all() and boxes.max() <= 200 and (wide > 0).all() and (tall > 0).all()
    assert 1.8 < np.median(tall / wide) < 4.0


def test_counts_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match="between 27 and 54 persons"):
        plan_splits(
            SynthScale(200, (0.2, 0.4), SplitScale(40, 5, 9, 60, 60, 6, (3, 6)), SMALL.test, (10,), 1, 1),
            seed=0,
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": "huge"}, "tiny, small, cuhk-sysu"),
        ({"backgrounds": "blurred"}, "natural, misleading"),
        ({"seed": -1}, "at least 0"),
        ({"jobs": 0}, "at least 1"),
    ],
)
def test_a_wrong_option_is_one_clear_error(tmp_path: Path, options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        write_synthetic(tmp_path / "out", **{"scale": "tiny", **options})
    assert not (tmp_path / "out").exists()
