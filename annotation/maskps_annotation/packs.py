"""Packs: what each annotator gets, and the coordinator's record of it.

    OUT/packs.json             who has which scene, and which scenes two annotators have
    OUT/<annotator>/           flat and complete: give it to the annotator as it is
        <image>                copy of the data set's image
        <stem of image>.json   LabelMe file, pre-filled with one rectangle per labeled person
        pack.json              the annotator's part of the record, without what others have
        labelmerc.yaml         LabelMe's configuration
        rules.html             the rules, with pictures

Labels are slots, p1 to pN from left to right: nobody types identities. Packs of corrections (`corrections`)
hold only the persons whose outline was rejected; the first section of their rules.html names the reasons.
With a proposer, files hold an outline of each person to start from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskps.datasets.boxes_inside import check_boxes_inside
from maskps.errors import AnnotationError, MaskpsError, OutputExistsError
from maskps.io.files import check_output, write_json
from maskps.io.folders import folder_written_atomically
from maskps.io.images import read_image
from maskps.masks.labelme_file import read_labelme, write_labelme
from maskps.masks.proposed_outlines import ProposedOutline, Proposer
from maskps.structures import PersonSearchDataset, Scene
from maskps.subset import open_record, read_name_list, select_named
from maskps_annotation.pack_files import CONFIG_NAME, is_untouched, labelme_config, prefilled
from maskps_annotation.pack_images import pack_image, pack_image_names
from maskps_annotation.pack_record import (
    PACK_NAME,
    PACKS_NAME,
    Correction,
    Pack,
    PackedScene,
    PackSet,
    Proposal,
    Slot,
    check_annotators,
    pack_content,
    packs_content,
    read_packs,
)
from maskps_annotation.rules_page import RULES_NAME, correction_section, proposal_section, rules_page
from maskps_annotation.sharding import share_scenes


def write_packs(
    subset: Path | NDArray[np.int64],
    dataset: PersonSearchDataset,
    out: Path,
    *,
    annotators: Sequence[str],
    proposer: Proposer | None = None,
    double: float = 0.0,
    seed: int = 0,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> PackSet:
    """Writes a pack per annotator with every labeled person of a mask subset, or of some images, atomically.

    Shares are balanced by persons and drawn from the seed: the same input gives the same bytes.

    Args:
        subset: its folder, of which only the list of images is read; or the rows of these images, as
            `rows_of_list` returns them.
        annotators: a name for each, which becomes the name of the folder.
        proposer: proposes an outline of each person to start from.
        double: share of the images, 0 to 1, that two annotators get without knowing it.
        force: replace the packs at `out`, unless somebody has drawn in them.
        progress: called with (images written, images to write).

    Returns:
        The packs as `read_packs` gives them.

    Raises:
        ConfigError: names that cannot be folders, or shares that cannot be dealt.
        OutputExistsError: `out` holds something or, with `force`, work of annotators.
        InputFileError: an image, or a file of the subset, is missing or broken.
        AnnotationError: the subset belongs to another data set, or a box lies outside its image.
    """
    check_annotators(annotators)
    check_free(out, force=force)  # before the work, not after
    rows = open_record(subset, dataset)[1] if isinstance(subset, Path) else subset
    train = dataset.train
    shares = share_scenes(train.labeled_per_scene[rows], len(annotators), double=double, seed=seed)
    return write_shares(
        out,
        dataset,
        {name: rows[share].tolist() for name, share in zip(annotators, shares.scenes, strict=True)},
        proposer=proposer,
        doubled=train.names[rows[shares.doubled]].tolist(),
        seed=seed,
        force=force,
        progress=progress,
    )


def rows_of_list(path: Path, subset_dir: Path, dataset: PersonSearchDataset) -> NDArray[np.int64]:
    """Returns the (S,) rows of the training table, ascending, of the images that a text file names.

    Args:
        path: as for `read_name_list`.
        subset_dir: folder of the subset that has these images.

    Raises:
        InputFileError: the file cannot be read or names no image, or the subset is damaged.
        AnnotationError: an image that is not in the subset, or a subset of another data set.
    """
    rows = select_named(dataset, read_name_list(path)).kept
    others = dataset.train.names[np.setdiff1d(rows, open_record(subset_dir, dataset)[1])].tolist()
    if others:
        raise AnnotationError(
            path,
            expected=f"images of the subset {subset_dir}",
            found=f"{len(others):,} images of the data set that are not in it, such as {others[0]}",
            hint="remove them, or build a subset with them: build-subset --names",
        )
    return rows


def write_shares(
    out: Path,
    dataset: PersonSearchDataset,
    shares: Mapping[str, Sequence[int]],
    *,
    corrections: Mapping[int, Mapping[int, Correction]] | None = None,
    proposer: Proposer | None = None,
    doubled: Iterable[str] = (),
    seed: int = 0,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> PackSet:
    """Writes packs with given shares, atomically.

    Args:
        shares: annotator -> rows of the scenes in the training table.
        corrections: scene row -> index of the box in the scene -> why the person is drawn again. Only these
            persons are packed; by default all labeled persons of the scenes are. Their image files get a tag,
            so that files of two rounds have different names.
        proposer: proposes an outline of each person to start from; the same for two annotators of a scene.
        doubled: names of the scenes that two annotators have.
        seed: of the shares, for the record.
        force, progress, and errors: as for `write_packs`.
    """
    check_free(out, force=force)
    train = dataset.train
    rows = sorted({row for share in shares.values() for row in share})
    persons = np.flatnonzero(np.isin(train.scene_of_person, rows) & train.is_labeled)
    check_boxes_inside(dataset, train.names[train.scene_of_person[persons]], train.boxes[persons])
    names = [str(name) for name in train.names[rows]]
    tag = "" if corrections is None else _tag(corrections, dataset)
    images = dict(zip(rows, pack_image_names(names, tag=tag), strict=True))
    proposals: dict[int, Mapping[int, ProposedOutline]] = {}
    packs = []
    done, to_do = 0, sum(map(len, shares.values()))
    with folder_written_atomically(out, record=PACKS_NAME, force=force) as folder:
        for annotator, share in shares.items():
            (folder / annotator).mkdir()
            scenes = []
            for row in share:
                if proposer is not None and row not in proposals:
                    image = read_image(dataset.image_path(str(train.names[row])))
                    proposals[row] = proposer.propose(train[row], image)
                rejected = None if corrections is None else corrections[row]
                target = folder / annotator / images[row]
                scenes.append(_write_scene(target, train[row], dataset, rejected, proposals.get(row, {})))
                done += 1
                if progress is not None:
                    progress(done, to_do)
            pack = Pack(annotator, out / annotator, tuple(scenes))
            _write_beside(folder / annotator, pack, dataset.fingerprint)
            packs.append(pack)
        packed_set = PackSet(dataset.fingerprint, seed, tuple(packs), frozenset(doubled))
        write_json(folder / PACKS_NAME, packs_content(packed_set))
        _check_nobody_drew(out)  # meanwhile
    return packed_set


def check_free(out: Path, *, force: bool) -> None:
    """Raises OutputExistsError unless packs may be written to `out`.

    With `force`, packs in which nobody has drawn may be replaced.
    """
    check_output(out, record=PACKS_NAME, force=force)
    _check_nobody_drew(out)


def _write_beside(folder: Path, pack: Pack, fingerprint: str) -> None:
    """Writes what a pack holds beside its images and their files."""
    write_json(folder / PACK_NAME, pack_content(pack, fingerprint))
    most = max(len(scene.slots) for scene in pack.scenes)
    config = labelme_config(most, proposals=pack.proposals > 0)
    (folder / CONFIG_NAME).write_text(config, encoding="utf-8")
    first = proposal_section() if pack.proposals else correction_section(pack, folder)
    (folder / RULES_NAME).write_text(rules_page(first), encoding="utf-8")


def _write_scene(
    target: Path,
    scene: Scene,
    dataset: PersonSearchDataset,
    corrections: Mapping[int, Correction] | None,
    proposals: Mapping[int, ProposedOutline],
) -> PackedScene:
    """Puts one image and its pre-filled file into a pack.

    Args:
        target: where the image is written.
        corrections, proposals: by index of the box in the scene; without corrections, everybody is packed.
    """
    source = dataset.image_path(scene.name)
    sha256, size = pack_image(source, target)
    if scene.size not in (None, size):
        raise AnnotationError(
            source,
            expected="an image of {} x {} pixels".format(*scene.size or ()),
            found="{} x {}".format(*size),
            hint="boxes would be misplaced; copy the data set's own image there",
        )
    slots = _slots(scene, dataset)
    if corrections is not None:
        slots = _slots_to_correct(slots, {person: one.clipped(size) for person, one in corrections.items()})
    slots = tuple(
        replace(slot, proposal=Proposal.of(proposals[slot.person], size))
        if slot.person in proposals
        else slot
        for slot in slots
    )
    packed = PackedScene(scene.name, target.name, sha256, size, slots)
    write_labelme(target.with_name(packed.file_name), prefilled(packed, dataset.fingerprint))
    return packed


def _slots(scene: Scene, dataset: PersonSearchDataset) -> tuple[Slot, ...]:
    """Returns the labeled persons of a scene from left to right, by the centres of their boxes."""
    persons = np.flatnonzero(scene.is_labeled)
    x, y = ((scene.boxes[persons, side] + scene.boxes[persons, side + 2]) / 2 for side in (0, 1))
    slots = []
    for number, person in enumerate(persons[np.lexsort((y, x))].tolist(), start=1):
        x0, y0, x1, y1 = map(float, scene.boxes[person])
        identity = str(dataset.train_ids[scene.pids[person] - 1])
        slots.append(Slot(f"p{number}", person, identity, (x0, y0, x1, y1)))
    return tuple(slots)


def _slots_to_correct(slots: Sequence[Slot], corrections: Mapping[int, Correction]) -> tuple[Slot, ...]:
    """Returns the slots of the persons to correct, renumbered from left to right."""
    rejected = [slot for slot in slots if slot.person in corrections]
    return tuple(
        replace(slot, name=f"p{number}", correction=corrections[slot.person])
        for number, slot in enumerate(rejected, start=1)
    )


def _tag(corrections: Mapping[int, Mapping[int, Correction]], dataset: PersonSearchDataset) -> str:
    """Returns the end of file names in these packs, such as "-c3f2a"."""
    content = [
        [str(dataset.train.names[row]), person, one.reasons, one.rejected]
        for row in sorted(corrections)
        for person, one in sorted(corrections[row].items())
    ]
    return "-c" + hashlib.sha256(json.dumps(content).encode()).hexdigest()[:4]


def _check_nobody_drew(out: Path) -> None:
    """Raises OutputExistsError if the packs at `out` hold anything that `write_packs` did not write."""
    if not (out / PACKS_NAME).is_file():
        return
    touched = [str(path.relative_to(out)) for pack in read_packs(out).packs for path in _touched_files(pack)]
    if touched:
        more = f" and {len(touched) - 1} more" if len(touched) > 1 else ""
        raise OutputExistsError(
            out,
            expected="packs in which nobody has drawn",
            found=f"{touched[0]}{more}, changed by annotators",
            hint="collect them and choose another path; the work of annotators is never replaced",
        )


def _touched_files(pack: Pack) -> list[Path]:
    """Returns the files of a pack that are new or changed, and its folder if it cannot be read."""
    scenes = {scene.file_name: scene for scene in pack.scenes}
    ours = {PACK_NAME, CONFIG_NAME, RULES_NAME, *(scene.image for scene in pack.scenes)}
    touched = []
    for path in sorted(pack.folder.iterdir()) if pack.folder.is_dir() else ():
        if path.name in ours:
            continue
        scene = scenes.get(path.name)
        try:
            if scene is None or not is_untouched(read_labelme(path), scene):
                touched.append(path)
        except MaskpsError:
            touched.append(path)  # it may be work, cut off
    return touched
