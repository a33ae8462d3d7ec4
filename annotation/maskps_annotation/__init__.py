"""The annotation pipeline around LabelMe, which is started as a program and never imported.

packs           a folder per annotator: sharding, pack_images, prefilled, rules_page, labelme_config
pack_record     who got what
launch          starts LabelMe
progress        how far everybody is
checks          every rule on every file (check_reading, check_shapes, check_rejected)
collect_packs   from checked files to the subset's masks; store keeps every version of every file
review          the page on which outlines are looked at (review_persons, review_pictures, review_page)
decisions       what a reviewer accepted and rejected
corrections     packs of what was rejected (correction_page)
agreement       two drawings of the same person
collect         LabelMe files that did not come from packs, as the paper's authors released them
"""

from maskps_annotation.from_labelme import build_subset_from_labelme, outlines_from_labelme

__all__ = ["build_subset_from_labelme", "outlines_from_labelme"]
