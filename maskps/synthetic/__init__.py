"""Synthetic person search: rendered scenes in the layout of CUHK-SYSU, with exact visible outlines.

`write_synthetic` makes a whole data set. To make single scenes, draw people and a camera, each from a seed,
and render them: `draw_appearance`, `plan_camera`, `open_camera`, `render_scene`.
"""

from maskps.synthetic.appearance import Appearance, draw_appearance
from maskps.synthetic.camera import Camera, CameraPlan, open_camera, plan_camera
from maskps.synthetic.dataset import SyntheticSummary, write_synthetic
from maskps.synthetic.plan import SCALES, SplitScale, SynthScale
from maskps.synthetic.scene import RenderedScene, render_scene

__all__ = [
    "SCALES",
    "Appearance",
    "Camera",
    "CameraPlan",
    "RenderedScene",
    "SplitScale",
    "SynthScale",
    "SyntheticSummary",
    "draw_appearance",
    "open_camera",
    "plan_camera",
    "render_scene",
    "write_synthetic",
]
