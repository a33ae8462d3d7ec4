"""The mask subset of a training set (Sec. 3.1): drawn, recorded, counted, and its targets."""

from maskps.subset.build import Subset, build_subset, open_subset
from maskps.subset.manifest import SubsetRecord, read_subset_record, write_subset_record
from maskps.subset.select import SubsetSelection, select_subset
from maskps.subset.stats import Table1, table1
from maskps.subset.targets import MaskTargets, read_targets, targets_of, write_targets

__all__ = [
    "MaskTargets",
    "Subset",
    "SubsetRecord",
    "SubsetSelection",
    "Table1",
    "build_subset",
    "open_subset",
    "read_subset_record",
    "read_targets",
    "select_subset",
    "table1",
    "targets_of",
    "write_subset_record",
    "write_targets",
]
