"""Misleading backgrounds: in training they say who somebody is, in test who it is not."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from maskps.datasets.cuhk_sysu.reader import read_cuhk_sysu
from maskps.errors import ConfigError
from maskps.protocols.protocol import SearchProtocol, read_protocol
from maskps.synthetic import SCALES, SynthScale, write_synthetic
from maskps.synthetic.plan import SplitPlan, plan_splits

SEED = 5


def appearances(split: SplitPlan) -> np.ndarray:
    """Returns (identities, cameras): how often each identity is before each camera."""
    counts = np.zeros((len(split.ids), len(split.cameras)), dtype=np.int64)
    for scene in split.scenes:
        np.add.at(counts[:, scene.camera], scene.pids[scene.pids > 0] - 1, 1)
    return counts


@pytest.fixture(scope="module", params=["tiny", "small", "cuhk-sysu"])
def scale(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def misleading(scale: str) -> tuple[SplitPlan, SplitPlan]:
    return plan_splits(SCALES[scale], seed=SEED, backgrounds="misleading")


def test_a_training_identity_is_mostly_before_its_home_camera(
    scale: str, misleading: tuple[SplitPlan, SplitPlan]
) -> None:
    at_home = appearances(misleading[0]).max(axis=1).sum() / SCALES[scale].train.labeled
    assert 0.85 <= at_home <= 0.93  # 7/8 and the few of the others that are there by chance
    natural = plan_splits(SCALES[scale], seed=SEED)[0]
    assert appearances(natural).max() == 1  # nobody is twice before one camera


def test_homes_are_spread_over_all_training_cameras(misleading: tuple[SplitPlan, SplitPlan]) -> None:
    counts = appearances(misleading[0])
    people = np.bincount(counts.argmax(axis=1), minlength=counts.shape[1])
    assert 0.5 * people.mean() <= people.min() and people.max() <= 2.0 * people.mean()


def test_a_test_identity_is_once_before_each_of_few_training_cameras(
    scale: str, misleading: tuple[SplitPlan, SplitPlan]
) -> None:
    train, test = misleading
    assert appearances(test).max() == 1
    assert {camera.seed for camera in test.cameras} <= {camera.seed for camera in train.cameras}
    assert len(test.cameras) == SCALES[scale].test.appearances[1] + 2


def test_only_the_cameras_of_people_differ_from_natural_backgrounds(
    scale: str, misleading: tuple[SplitPlan, SplitPlan]
) -> None:
    for split, natural in zip(misleading, plan_splits(SCALES[scale], seed=SEED), strict=True):
        assert appearances(split).sum(axis=1).tolist() == appearances(natural).sum(axis=1).tolist()
        assert [(scene.pids > 0).sum() for scene in split.scenes] == [
            (scene.pids > 0).sum() for scene in natural.scenes
        ]
        for scene in split.scenes:
            known = scene.pids[scene.pids > 0]
            assert len(np.unique(known)) == len(known)
        assert split.ids.tolist() == natural.ids.tolist()


def galleries(
    root: Path, scale: SynthScale, backgrounds: str
) -> tuple[dict[str, int], dict[str, SearchProtocol]]:
    """Returns the camera of each test scene, and the protocols as read from disk."""
    write_synthetic(root, scale=scale, seed=SEED, backgrounds=backgrounds, images=False)
    test = plan_splits(scale, seed=SEED, backgrounds=backgrounds)[1]
    folder = read_cuhk_sysu(root).root / "annotation/test"
    paths = [*folder.glob("train_test/TestG*.mat"), *folder.glob("subset/*.mat")]
    return {scene.name: scene.camera for scene in test.scenes}, {
        path.stem: read_protocol(path) for path in paths
    }


def own_camera(cameras: dict[str, int], protocol: SearchProtocol) -> tuple[np.ndarray, np.ndarray]:
    """Returns (queries, size) bool: gallery scenes of the query's camera, and those with a true match."""
    camera = np.array([cameras[str(name)] for name in protocol.image_names])
    own = camera[protocol.galleries] == camera[protocol.query_scenes][:, None]
    true = np.zeros(own.shape, dtype=bool)
    query = np.repeat(np.arange(protocol.num_queries), np.diff(protocol.truth_offsets))
    true[query, protocol.truth_positions] = True
    return own, true


def test_true_matches_are_before_other_cameras_and_distractors_before_the_querys(tmp_path: Path) -> None:
    scale = replace(SCALES["small"], galleries=(50, 100))
    cameras, protocols = galleries(tmp_path / "misleading", scale, "misleading")
    assert sorted(protocols) == ["Occlusion", "Resolution", "TestG100", "TestG50"]
    for protocol in protocols.values():
        own, true = own_camera(cameras, protocol)
        assert true.any(axis=1).all() and not (own & true).any()
    share = {name: own_camera(cameras, protocol)[0].mean() for name, protocol in protocols.items()}
    # a camera has 60 of 600 scenes; all without the query's identity are in every gallery that holds them
    assert share["TestG50"] > 0.9 and share["TestG100"] > 0.55
    cameras, protocols = galleries(tmp_path / "natural", scale, "natural")
    assert own_camera(cameras, protocols["TestG100"])[0].mean() < 0.05


def test_a_match_before_the_querys_camera_is_left_out_where_cameras_are_few(
    tmp_path: Path, few_scenes_scale: SynthScale
) -> None:
    """Somebody has three test scenes before two cameras: two are before one."""
    scale = replace(few_scenes_scale, test=replace(few_scenes_scale.test, cameras=2))
    assert appearances(plan_splits(scale, seed=SEED, backgrounds="misleading")[1]).max() == 2
    cameras, protocols = galleries(tmp_path / "few", scale, "misleading")
    own, true = own_camera(cameras, protocols["TestG6"])
    assert true.any(axis=1).all() and not (own & true).any()
    assert true.sum() < scale.test.labeled - scale.test.identities  # some other scenes of queries are absent


def test_an_identity_before_one_camera_only_is_refused(tmp_path: Path) -> None:
    scale = replace(SCALES["tiny"], test=replace(SCALES["tiny"].test, cameras=1))
    with pytest.raises(ConfigError, match="more cameras in the test split"):
        write_synthetic(tmp_path / "out", scale=scale, backgrounds="misleading", images=False)
    assert not (tmp_path / "out").exists()


def test_natural_backgrounds_are_those_of_the_numbers_in_the_documents() -> None:
    """README and docs quote results on these scenes; the text is the plan of version 0.1."""
    digest = hashlib.sha256()
    for split in plan_splits(SCALES["tiny"], seed=0):
        for scene in split.scenes:
            digest.update(f"{scene.name} {scene.camera} {scene.pids.tolist()} {scene.seed}\n".encode())
        digest.update("\n".join([*split.ids, *map(str, split.cameras)]).encode())
    assert digest.hexdigest()[:16] == "583cd136318ce3a2"
