"""Who is in which scene: everybody before many cameras, or mostly before one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

AWAY = 8  # where people keep to one camera, one of this many appearances is anywhere


def without_repeats(
    pid: NDArray[np.int64], scene: NDArray[np.int64], camera: NDArray[np.int64], *, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Returns `scene` rearranged: nobody is twice in a scene nor, where possible, before one camera."""
    scene = scene.copy()
    last_strict = 12
    for attempt in range(200):
        key = scene if attempt > last_strict and attempt % 2 else camera[scene]
        # equal pids stand together; a repeat is the second occurrence of (pid, key)
        order = np.lexsort((key, pid))
        same = (np.diff(pid[order]) == 0) & (np.diff(key[order]) == 0)
        if not same.any():
            if key is scene or attempt <= last_strict:
                return scene
            continue
        for row in order[1:][same]:
            _swap(int(row), pid, scene, camera, rng)
    return scene


def mostly_at_home(
    pid: NDArray[np.int64], scene: NDArray[np.int64], camera: NDArray[np.int64], *, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Returns `scene` rearranged: every identity is mostly before one camera, its home.

    Seven of eight appearances, drawn over all identities, go home where it has room. The places of
    the scenes, and who is nowhere twice in a scene, stay as they are.

    Args:
        pid: (n,) identities 1..N of the appearances, rising; `scene`: (n,) their scenes.
        camera: (scenes,) the camera of each scene.
    """
    scene = scene.copy()
    home = _homes(pid, camera[scene], rng)[pid]
    stays = np.ones(len(pid), dtype=bool)
    stays[rng.choice(len(pid), len(pid) // AWAY, replace=False)] = False
    for row in rng.permutation(np.flatnonzero(stays & (camera[scene] != home))):
        if camera[scene[row]] == home[row]:
            continue
        there = np.flatnonzero(camera[scene] == home[row])
        guests = there[home[there] != home[row]]
        suits = ~np.isin(scene[guests], scene[_run_of(pid, row)])
        suits &= ~np.isin(pid[guests], pid[scene == scene[row]])
        if suits.any():
            other = rng.choice(guests[suits])
            scene[row], scene[other] = scene[other], scene[row]
    return scene


def _homes(pid: NDArray[np.int64], camera: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Returns the home of each pid, by its number: as many appearances for a camera as it has places."""
    appearances = np.bincount(pid)
    places = np.bincount(camera)
    home = np.full(len(appearances), -1, dtype=np.int64)
    shuffled = rng.permutation(np.unique(pid))
    for identity in shuffled[np.argsort(-appearances[shuffled], kind="stable")]:
        home[identity] = np.argmax(places)
        places[home[identity]] -= appearances[identity]
    return home


def _swap(
    row: int,
    pid: NDArray[np.int64],
    scene: NDArray[np.int64],
    camera: NDArray[np.int64],
    rng: np.random.Generator,
) -> None:
    """Exchanges the scene of `row` with one that suits both persons, or comes closest to that."""
    own = _run_of(pid, row)
    for attempt in range(60):
        other = int(rng.integers(0, len(pid)))
        theirs = _run_of(pid, other)
        key = camera[scene] if attempt < 45 else scene
        if pid[other] == pid[row]:
            continue
        if (
            np.count_nonzero(key[own] == key[other]) == 0
            and np.count_nonzero(key[theirs] == key[row]) == 0
            and not (scene[own] == scene[other]).any()
            and not (scene[theirs] == scene[row]).any()
        ):
            scene[row], scene[other] = scene[other], scene[row]
            return


def _run_of(pid: NDArray[np.int64], row: int) -> slice:
    return slice(int(np.searchsorted(pid, pid[row], "left")), int(np.searchsorted(pid, pid[row], "right")))
