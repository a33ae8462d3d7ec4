"""Choose the images to annotate as in Sec. 3.1 and print Table 1.

Try it:

    maskps-data synth scenes --scale tiny
    python examples/subset_and_table1.py scenes subset
"""

from __future__ import annotations

import sys
from pathlib import Path

from maskps.datasets import open_dataset
from maskps.subset import build_subset, select_subset, table1


def main(root: Path, out: Path) -> None:
    dataset = open_dataset(root)

    # One image in five, at random. Images with only unlabeled persons are left out.
    selection = select_subset(dataset.train, portion_size=5, seed=0)
    build_subset(dataset, out, selection)  # the masks are MISSING until outlines are drawn

    table = table1(dataset.train, selection.kept).to_table()
    print(table.to_text("markdown"))

    print("\nTo annotate:")
    for row in selection.kept:
        scene = dataset.train[row]
        print(f"  {scene.name}: {scene.is_labeled.sum()} labeled of {len(scene)} persons")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
