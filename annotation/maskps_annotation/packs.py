"""Packs: what each annotator gets, and the coordinator's record of it.

    OUT/packs.json             who has which scene, and which scenes two annotators have
    OUT/<annotator>/           flat and complete, to be handed on as it is
        <image>                hard link or copy of the data set's image
        <stem of image>.json   LabelMe file, pre-filled with one rectangle per labeled person
        pack.json              the annotator's part of the record; it does not tell what others have
        labelmerc.yaml         LabelMe's configuration
        rules.html             the rules, with pictures

Labels are slots, p1 to pN from left to right: nobody types identities.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from maskps.errors import AnnotationError, MaskpsError, OutputExistsError
from maskps.files import check_output, folder_written_atomically, write_json
from maskps.masks.labelme_file import LabelMeFile, LabelMeShape, read_labelme, write_labelme
from maskps.structures import PersonSearchDataset, Scene
from maskps.subset import open_record
from maskps_annotation.labelme_config import CONFIG_NAME, IMAGE_FLAGS, labelme_config
from maskps_annotation.pack_images import pack_image, pack_image_names
from maskps_annotation.pack_record import (
    PACK_NAME,
    PACKS_NAME,
    Pack,
    PackedScene,
    PackSet,
    Slot,
    check_annotators,
    pack_content,
    packs_content,
    read_pack,
    read_packs,
)
from maskps_annotation.rules_page import RULES_NAME, rules_page
from maskps_annotation.sharding import share_scenes

__all__ = [
    "FILE_KEY",
    "SLOT_KEY",
    "Pack",
    "PackSet",
    "PackedScene",
    "Slot",
    "is_prefilled",
    "is_untouched",
    "prefilled",
    "read_pack",
    "read_packs",
    "write_packs",
]

SLOT_KEY = "maskps_slot"
"""Private key of a pre-filled rectangle: {"name", "person", "identity", "box"} of its slot."""

FILE_KEY = "maskps"
"""Private key of a LabelMe file of a pack: {"scene", "sha256", "fingerprint"}."""


def write_packs(
    subset_dir: Path,
    dataset: PersonSearchDataset,
    out: Path,
    *,
    annotators: Sequence[str],
    double: float = 0.0,
    seed: int = 0,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> PackSet:
    """Writes a pack per annotator with every labeled person of a mask subset; whole or not at all.

    Shares are balanced by persons and drawn from the seed: the same input gives the same bytes.

    Args:
        subset_dir: folder of the subset; its images are distributed, its masks are not read.
        annotators: a name for each, which becomes the name of the folder.
        double: share of the images, 0 to 1, that two annotators get without being told.
        force: replace packs that stand at `out`, provided that nobody has drawn in them.
        progress: called with (images written, images to write).

    Returns:
        The packs as `read_packs` gives them.

    Raises:
        ConfigError: names that cannot be folders, or shares that cannot be dealt.
        OutputExistsError: `out` holds something, or, with `force`, work of annotators.
        InputFileError: an image, or a file of the subset, is missing or broken.
        AnnotationError: the subset is of another data set; or a box lies outside its image.
    """
    check_annotators(annotators)
    check_output(out, record=PACKS_NAME, force=force)  # before the work, not after
    _check_nobody_drew(out)
    _, rows = open_record(subset_dir, dataset)
    train = dataset.train
    shares = share_scenes(train.labeled_per_scene[rows], len(annotators), double=double, seed=seed)
    names = [str(name) for name in train.names[rows]]
    images = pack_image_names(names)
    packs = []
    done, to_do = 0, sum(map(len, shares.scenes))
    with folder_written_atomically(out, record=PACKS_NAME, force=force) as folder:
        for annotator, share in zip(annotators, shares.scenes, strict=True):
            (folder / annotator).mkdir()
            scenes = []
            for index in share.tolist():
                scene = train[int(rows[index])]
                packed = _write_scene(folder / annotator, scene, images[index], dataset)
                scenes.append(packed)
                done += 1
                if progress is not None:
                    progress(done, to_do)
            pack = Pack(annotator, out / annotator, tuple(scenes))
            write_json(folder / annotator / PACK_NAME, pack_content(pack, dataset.fingerprint))
            most = max(len(scene.slots) for scene in scenes)
            (folder / annotator / CONFIG_NAME).write_text(labelme_config(most), encoding="utf-8")
            (folder / annotator / RULES_NAME).write_text(rules_page(), encoding="utf-8")
            packs.append(pack)
        doubled = frozenset(names[index] for index in shares.doubled.tolist())
        packed_set = PackSet(dataset.fingerprint, seed, tuple(packs), doubled)
        write_json(folder / PACKS_NAME, packs_content(packed_set))
        _check_nobody_drew(out)  # meanwhile
    return packed_set


def prefilled(scene: PackedScene, fingerprint: str) -> LabelMeFile:
    """Returns the LabelMe file that an annotator starts from: a rectangle per person, nothing drawn."""
    return LabelMeFile(
        image_path=scene.image,
        width=scene.size[0],
        height=scene.size[1],
        shapes=tuple(
            LabelMeShape(
                slot.name,
                slot.corners(scene.size),
                "rectangle",
                extra={
                    "locked": True,  # LabelMe after 7.1 does not let it be moved then
                    SLOT_KEY: {
                        "name": slot.name,
                        "person": slot.person,
                        "identity": slot.identity,
                        "box": list(slot.box),
                    },
                },
            )
            for slot in scene.slots
        ),
        flags=dict.fromkeys(IMAGE_FLAGS, False),
        extra={FILE_KEY: {"scene": scene.scene, "sha256": scene.sha256, "fingerprint": fingerprint}},
    )


def is_prefilled(shape: LabelMeShape) -> bool:
    """Tells whether a shape is a rectangle that the pack came with, wherever it was moved to."""
    return shape.shape_type == "rectangle" and SLOT_KEY in shape.extra


def is_untouched(file: LabelMeFile, scene: PackedScene) -> bool:
    """Tells whether nobody has drawn, moved, deleted or ticked anything in a file of a pack."""
    return (
        not any(file.flags.values())
        and len(file.shapes) == len(scene.slots)
        and all(
            is_prefilled(shape)
            and shape.label == slot.name
            and not any(shape.flags.values())
            and bool(np.allclose(shape.points, slot.corners(scene.size), atol=0.01))
            for shape, slot in zip(file.shapes, scene.slots, strict=True)
        )
    )


def _write_scene(folder: Path, scene: Scene, image: str, dataset: PersonSearchDataset) -> PackedScene:
    """Puts one image and its pre-filled file into a pack."""
    source = dataset.image_path(scene.name)
    sha256, size = pack_image(source, folder / image)
    if scene.size not in (None, size):
        raise AnnotationError(
            source,
            expected="an image of {} x {} pixels".format(*scene.size or ()),
            found="{} x {}".format(*size),
            hint="the boxes would be misplaced; copy the data set's own image there",
        )
    packed = PackedScene(scene.name, image, sha256, size, _slots(scene, dataset))
    for slot in packed.slots:
        if not (np.diff(slot.corners(size), axis=0) > 0).all():
            raise AnnotationError(
                f"{scene.name} box {slot.person}",
                expected="a box in the image of {} x {} pixels".format(*size),
                found=f"x, y from {slot.box[:2]} to {slot.box[2:]}",
                hint="'maskps-data verify' lists every such box; correct the annotation",
            )
    write_labelme(folder / packed.file_name, prefilled(packed, dataset.fingerprint))
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


def _check_nobody_drew(out: Path) -> None:
    """Raises OutputExistsError if packs at `out` hold anything that `write_packs` did not put there."""
    if not (out / PACKS_NAME).is_file():
        return
    touched = [str(path.relative_to(out)) for pack in read_packs(out).packs for path in _touched_files(pack)]
    if touched:
        more = f" and {len(touched) - 1} more" if len(touched) > 1 else ""
        raise OutputExistsError(
            out,
            expected="packs in which nobody has drawn",
            found=f"{touched[0]}{more}, changed by annotators",
            hint="collect them and choose another path; work of annotators is never replaced",
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
