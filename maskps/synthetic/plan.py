"""The plan of a data set: who is in which scene. It comes from the seed, before anything is drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskps.errors import ConfigError
from maskps.structures import UNLABELED_PID
from maskps.synthetic.arrangement import mostly_at_home, without_repeats
from maskps.synthetic.camera import CameraPlan, plan_camera
from maskps_manifest import cuhk_sysu as published

TRAIN, TEST = 0, 1
BACKGROUNDS = ("natural", "misleading")
"""What backgrounds say about identities: nothing, or, in training only, who is likely before them."""
TEST_CAMERAS_MORE = 2
_MOST_LABELED, _MOST_PEOPLE = 5, 12  # in one scene
_PLAN, _CAMERA, _IDENTITY, _SCENE, _NAMES, PROTOCOL = range(6)  # the purposes of streams of random numbers


@dataclass(frozen=True)
class SplitScale:
    """Counts of one split.

    Attributes:
        scenes: number of scenes; `unlabeled_only` of them show nobody with an identity.
        labeled, unlabeled: numbers of persons with and without an identity.
        appearances: the fewest and the most scenes that show one identity.
    """

    scenes: int
    unlabeled_only: int
    identities: int
    labeled: int
    unlabeled: int
    cameras: int
    appearances: tuple[int, int]


@dataclass(frozen=True)
class SynthScale:
    """The size of a synthetic data set.

    Attributes:
        longest: the longest side of every image, pixels.
        heights: of people far away and nearby, as shares of `longest`.
        galleries: sizes of the TestG protocols.
        occluded, low_resolution: numbers of queries of the two test subsets.
        subset_gallery: size of their galleries.
    """

    longest: int
    heights: tuple[float, float]
    train: SplitScale
    test: SplitScale
    galleries: tuple[int, ...]
    occluded: int
    low_resolution: int
    subset_gallery: int = 100


SCALES: dict[str, SynthScale] = {
    "tiny": SynthScale(
        400,
        (0.15, 0.42),
        SplitScale(300, 39, 80, 360, 870, 12, (3, 6)),
        SplitScale(150, 0, 60, 250, 380, 8, (3, 6)),
        galleries=(50, 100),
        occluded=4,
        low_resolution=6,
    ),
    "small": SynthScale(
        800,
        (0.11, 0.46),
        SplitScale(1000, 130, 300, 1300, 3300, 40, (3, 8)),
        SplitScale(600, 0, 200, 900, 1900, 25, (3, 8)),
        galleries=(50, 100, 500),
        occluded=13,
        low_resolution=20,
    ),
    "cuhk-sysu": SynthScale(
        800,
        (0.07, 0.48),
        SplitScale(
            published.TRAIN.images,
            published.TRAIN_IMAGES_WITHOUT_LABELED,
            published.TRAIN_IDENTITIES,
            published.TRAIN.labeled,
            published.TRAIN.unlabeled,
            420,
            (2, 14),
        ),
        SplitScale(
            published.TEST.images,
            0,
            published.QUERIES,
            published.TEST.labeled,
            published.TEST.unlabeled,
            260,
            (2, 14),
        ),
        galleries=published.GALLERY_SIZES,
        occluded=published.OCCLUSION_QUERIES,
        low_resolution=published.RESOLUTION_QUERIES,
    ),
}
"""The sizes that `maskps-data synth --scale` offers; "cuhk-sysu" has the published counts."""


@dataclass(frozen=True)
class ScenePlan:
    """One scene before it is drawn.

    Attributes:
        pids: (n,) int64 in the order of the boxes: identities 1..N, -1 for persons without one.
        seed: entropy of everything that is drawn in the scene.
    """

    name: str
    camera: int
    pids: NDArray[np.int64]
    seed: tuple[int, ...]


@dataclass(frozen=True)
class SplitPlan:
    """One split before it is drawn: its cameras, its scenes by rising number, the names of its identities."""

    split: int
    seed: int
    cameras: tuple[CameraPlan, ...]
    scenes: tuple[ScenePlan, ...]
    ids: NDArray[np.str_]

    def identity_seed(self, pid: int) -> tuple[int, ...]:
        """Returns the entropy from which the appearance of the person with this pid is drawn."""
        return self.seed, self.split, _IDENTITY, pid


def plan_splits(scale: SynthScale, *, seed: int, backgrounds: str = "natural") -> tuple[SplitPlan, SplitPlan]:
    """Returns the plans of the training and the test split; they share no identity or name.

    With natural backgrounds nobody is twice before one camera where that is possible, and the splits share
    no camera. Misleading ones differ: in training an identity is mostly before one camera, its home, so that
    the background says who it is; in test people are as before, but the cameras are some of training's, so
    few that each has many scenes: `TEST_CAMERAS_MORE` more than an identity has scenes at most.

    Args:
        backgrounds: one of `BACKGROUNDS`.
    """
    rng = np.random.default_rng((seed, TRAIN, _NAMES))
    scenes = scale.train.scenes + scale.test.scenes
    held_out = np.sort(rng.choice(scenes, scale.test.scenes, replace=False))
    numbers = {TRAIN: np.setdiff1d(np.arange(scenes), held_out) + 1, TEST: held_out + 1}
    people = rng.permutation(scale.train.identities + scale.test.identities) + 1
    ids = {TRAIN: people[: scale.train.identities], TEST: people[scale.train.identities :]}
    train, test = (
        _plan_split(
            split,
            counts,
            scale,
            seed=seed,
            numbers=numbers[split],
            ids=np.array([f"p{number}" for number in ids[split]], dtype=np.str_),
            misleading=backgrounds == "misleading",
        )
        for split, counts in ((TRAIN, scale.train), (TEST, scale.test))
    )
    return train, test


def _plan_split(
    split: int,
    counts: SplitScale,
    scale: SynthScale,
    *,
    seed: int,
    numbers: NDArray[np.int64],
    ids: NDArray[np.str_],
    misleading: bool,
) -> SplitPlan:
    rng = np.random.default_rng((seed, split, _PLAN))
    fewest, most = counts.appearances
    cameras = counts.cameras
    if misleading and split == TEST:
        cameras = min(cameras, most + TEST_CAMERAS_MORE)
    camera = rng.permutation(np.arange(counts.scenes) % cameras)
    bare = np.zeros(counts.scenes, dtype=bool)
    bare[rng.choice(counts.scenes, counts.unlabeled_only, replace=False)] = True
    owners = _spread(counts.labeled, counts.identities, least=fewest, most=most, rng=rng)
    places = _spread(
        counts.labeled, counts.scenes - counts.unlabeled_only, least=1, most=_MOST_LABELED, rng=rng
    )
    pid = np.repeat(np.arange(1, counts.identities + 1), owners)
    scene = rng.permutation(np.repeat(np.flatnonzero(~bare), places))
    scene = without_repeats(pid, scene, camera, rng=rng)
    if misleading and split == TRAIN:
        scene = mostly_at_home(pid, scene, camera, rng=rng)
    labeled = np.bincount(scene, minlength=counts.scenes)
    others = _spread(
        counts.unlabeled, counts.scenes, least=np.where(bare, 1, 0), most=_MOST_PEOPLE - labeled, rng=rng
    )
    order = np.argsort(scene, kind="stable")
    known = np.split(pid[order], np.cumsum(labeled)[:-1])
    return SplitPlan(
        split=split,
        seed=seed,
        cameras=tuple(
            plan_camera(
                (seed, TRAIN if misleading else split, _CAMERA, index),
                longest=scale.longest,
                heights=scale.heights,
            )
            for index in range(cameras)
        ),
        scenes=tuple(
            ScenePlan(
                f"s{number}.jpg",
                int(camera[row]),
                rng.permutation(np.concatenate([known[row], np.full(others[row], UNLABELED_PID)])).astype(
                    np.int64
                ),
                (seed, split, _SCENE, row),
            )
            for row, number in enumerate(numbers)
        ),
        ids=ids,
    )


def _spread(
    total: int,
    cells: int,
    *,
    least: int | NDArray[np.int64],
    most: int | NDArray[np.int64],
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Returns (cells,) int64 counts that sum to `total`, unevenly spread between `least` and `most`."""
    counts = np.broadcast_to(np.asarray(least, dtype=np.int64), (cells,)).copy()
    room = np.broadcast_to(np.asarray(most, dtype=np.int64), (cells,))
    if not counts.sum() <= total <= room.sum():
        raise ConfigError(
            "scale",
            expected=f"between {counts.sum()} and {room.sum()} persons for {cells} places",
            found=str(total),
        )
    weight = rng.gamma(2.0, 1.0, cells)
    while (missing := total - int(counts.sum())) > 0:
        open_cells = weight * (counts < room)
        drawn = rng.choice(cells, missing, p=open_cells / open_cells.sum())
        counts = np.minimum(counts + np.bincount(drawn, minlength=cells), room)
    return counts
