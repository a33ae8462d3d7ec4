"""The mask subset of a training set (Sec. 3.1): choice, record, counts and targets.

select          portions and the draw
names, recorded the other ways to choose: a list of names, an earlier record
choose          one function for all ways
nested          the smaller subsets of Table 4
build           writes and opens the subset's folder; manifest is its record, targets its 14x14 targets
import_masks    adds masks of other sources to a subset
stats           Table 1 and totals; distributions has the numbers of the plots
"""

from maskps.subset.build import Subset, build_subset, open_subset, redrawn
from maskps.subset.choose import choose_images
from maskps.subset.manifest import SubsetRecord, read_subset_record, write_subset_record
from maskps.subset.names import NameList, labelme_name_list, read_name_list, select_named
from maskps.subset.nested import parse_proportion, parse_proportions, with_proportions
from maskps.subset.recorded import nested_rows, open_record, recorded_root, selection_of_record
from maskps.subset.select import SubsetSelection, expected_kept, select_subset
from maskps.subset.stats import Table1, remarks_on, subset_table, table1, totals_table
from maskps.subset.targets import MaskTargets, read_targets, targets_of, write_targets

__all__ = [
    "MaskTargets",
    "NameList",
    "Subset",
    "SubsetRecord",
    "SubsetSelection",
    "Table1",
    "build_subset",
    "choose_images",
    "expected_kept",
    "labelme_name_list",
    "nested_rows",
    "open_record",
    "open_subset",
    "parse_proportion",
    "parse_proportions",
    "read_name_list",
    "read_subset_record",
    "read_targets",
    "recorded_root",
    "redrawn",
    "remarks_on",
    "select_named",
    "select_subset",
    "selection_of_record",
    "subset_table",
    "table1",
    "targets_of",
    "totals_table",
    "with_proportions",
    "write_subset_record",
    "write_targets",
]
