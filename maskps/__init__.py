"""maskps: segmentation mask guided end-to-end person search.

Importing this package does not import torch; `maskps.model`, `maskps.losses` and `maskps.training` do.
"""

from maskps.errors import (
    AnnotationError,
    ConfigError,
    InputFileError,
    MaskpsError,
    OutputError,
    OutputExistsError,
    TrainingError,
)
from maskps.findings import Finding
from maskps.structures import (
    BACKGROUND_PID,
    UNLABELED_PID,
    MaskState,
    PersonSearchDataset,
    Scene,
    SceneTable,
)

__version__ = "0.1.0"

__all__ = [
    "BACKGROUND_PID",
    "UNLABELED_PID",
    "AnnotationError",
    "ConfigError",
    "Finding",
    "InputFileError",
    "MaskState",
    "MaskpsError",
    "OutputError",
    "OutputExistsError",
    "PersonSearchDataset",
    "Scene",
    "SceneTable",
    "TrainingError",
    "__version__",
]
