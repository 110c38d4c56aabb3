"""Still pictures of one axial slice, seen from the feet: the patient's right on the left, front up."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from app.views import window_of
from data.imaging import LabelTable, Volume

Mask = NDArray[np.bool_]
THUMBNAIL_PX, PICTURE_PX = 160, 420
TINT = 0.45
"""Share of a label's color over the scan."""


def thumbnail(scan: Volume, mask: Volume, labels: LabelTable) -> str:
    """The slice with most tumor, labels tinted; a PNG data address."""
    image, map_ = scan.reoriented("RAS"), mask.reoriented("RAS")
    on_grid = map_.shape == image.shape
    k = int(np.argmax((map_.array > 0).sum((0, 1)))) if on_grid else image.shape[2] // 2
    rgb = _gray(image.array[:, :, k], window_of(scan))
    if on_grid:
        for label in labels.labels:
            inside = map_.array[:, :, k] == label.value
            rgb[inside] = (1.0 - TINT) * rgb[inside] + TINT * _color(label.color)
    png = _png(rgb, image.spacing_mm, THUMBNAIL_PX)
    return "data:image/png;base64," + base64.b64encode(png).decode()


def outlined(scan: Volume, outlines: Mapping[str, Mask]) -> bytes:
    """The slice with most of the outlined masks, each edge in its color; a PNG.

    Args:
        scan: to be drawn on.
        outlines: masks on its grid, by color (#rrggbb).
    """
    image = scan.reoriented("RAS")
    masks = {
        color: scan.with_array(mask.astype(np.uint8)).reoriented("RAS").array > 0
        for color, mask in outlines.items()
    }
    size = np.sum([mask.sum((0, 1)) for mask in masks.values()], axis=0)
    k = int(np.argmax(size))
    rgb = _gray(image.array[:, :, k], window_of(scan))
    for color, mask in masks.items():
        inside = mask[:, :, k]
        rgb[inside & ~ndimage.binary_erosion(inside)] = _color(color)
    return _png(rgb, image.spacing_mm, PICTURE_PX)


def _color(text: str) -> NDArray[np.float32]:
    return np.array([int(text[n : n + 2], 16) / 255 for n in (1, 3, 5)], np.float32)


def _gray(plane: NDArray[np.generic], window: tuple[float, float]) -> NDArray[np.float32]:
    low, high = window
    gray = np.clip((np.asarray(plane, np.float32) - low) / (high - low), 0, 1)
    return np.repeat(gray[..., None], 3, axis=-1)


def _png(
    rgb: NDArray[np.float32], spacing_mm: tuple[float, float, float], largest_px: int
) -> bytes:
    """A plane (i, j, color) in RAS order, cut to what is not black and turned as it is looked at."""
    inside = np.argwhere(rgb.max(-1) > 0)
    if len(inside):
        (i0, j0), (i1, j1) = inside.min(0), inside.max(0) + 1
        rgb = rgb[i0:i1, j0:j1]
    picture = np.flip(rgb, axis=(0, 1)).transpose(1, 0, 2)
    x, y, _ = spacing_mm
    height, width = picture.shape[0] * y, picture.shape[1] * x
    scale = largest_px / max(height, width)
    png = io.BytesIO()
    drawn = Image.fromarray((255 * picture).astype(np.uint8))
    drawn.resize((max(1, round(width * scale)), max(1, round(height * scale)))).save(png, "PNG")
    return png.getvalue()
