"""The annotation pipeline around LabelMe, which is started as a program and never imported.

packs           a folder per annotator: sharding, pack_images, pack_files, rules_page (rules_pictures)
proposers       outlines to start from; touches knows what annotators did to them
pack_record     who got what
launch          starts LabelMe
progress        how far everybody is
reading, drawn_persons    from a LabelMe file to persons: one way, for packs and for other files
checks          every rule on every file of the packs (check_shapes)
collect_packs   from checked files to the subset's masks; collected records whose drawing is used, and store
                keeps every version of every file
review          the page on which outlines are reviewed (review_persons, review_pictures, review_page)
decisions       what a reviewer accepted and rejected
corrections     packs of what was rejected
agreement       two drawings of the same person
from_labelme    LabelMe files that did not come from packs, as the paper's authors released them
"""

from maskps_annotation.from_labelme import (
    build_subset_from_labelme,
    outlines_from_labelme,
    person_outlines_from_labelme,
)

__all__ = ["build_subset_from_labelme", "outlines_from_labelme", "person_outlines_from_labelme"]
