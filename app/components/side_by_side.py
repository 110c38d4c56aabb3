"""Two scans of one patient beside each other, on one grid, at one place, with what changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from app.components.shared import component, in_test, window_in
from app.follow_up_views import ShownLesion
from app.state import TOKEN_HEADER, session_token
from app.views import colormap_of
from data.avatar import VolumeRef
from data.imaging import LabelTable
from data.store import AvatarStore

HEIGHT_PX = 420


@dataclass(frozen=True)
class ShownSide:
    """One half: an image and its mask on the common grid."""

    title: str
    image: VolumeRef
    mask: VolumeRef

    def offered(self) -> dict[str, Any]:
        """As the browser is told of it."""
        return {
            "title": self.title,
            "sha256": self.image.sha256,
            "mask": self.mask.sha256,
        }


def side_by_side(
    store: AvatarStore,
    earlier: ShownSide,
    later: ShownSide,
    difference: VolumeRef,
    labels: LabelTable,
    lesions: Sequence[ShownLesion],
    *,
    sequence: str,
    key: str,
    height_px: int = HEIGHT_PX,
) -> None:
    """Linked planes of both in one window, the difference over the later one, both by turns; all by keys."""
    component("side_by_side")(
        data={
            "earlier": earlier.offered(),
            "later": later.offered(),
            "difference": difference.sha256,
            "sequence": sequence,
            "window": window_in(store, earlier.image),
            "colormap": colormap_of(labels),
            "legend": [{"name": x.name, "color": x.color} for x in labels.labels],
            "lesions": [asdict(lesion) for lesion in lesions],
            "header": TOKEN_HEADER,
            "token": session_token(),
            "height": height_px,
            "test": in_test(),
        },
        key=key,
    )
