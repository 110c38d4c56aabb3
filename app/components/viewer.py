"""The volume viewer: NiiVue in the browser, volumes over the board's own route."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from app.components.shared import component, in_test, shown_sequences
from app.state import TOKEN_HEADER, session_token
from app.views import colormap_of, default_sequence, start_point
from data.avatar import Scan
from data.store import AvatarStore

HEIGHT_PX = 560


@dataclass(frozen=True)
class ShownDensity:
    """A density over time that is offered to the browser, and whose it is."""

    name: str
    days: tuple[float, ...]
    title: str


def volume_viewer(
    scan: Scan,
    store: AvatarStore,
    *,
    key: str,
    density: ShownDensity | None = None,
    height_px: int = HEIGHT_PX,
) -> None:
    """Linked three-plane view of a scan with its mask; radiological convention, R and L shown.

    A density is laid over it, with a slider over its days.
    """
    start = start_point(scan)
    component("viewer")(
        data={
            "sequences": shown_sequences(scan, store),
            "first": default_sequence(scan),
            "mask": scan.segmentation.sha256,
            "colormap": colormap_of(scan.labels),
            "legend": [{"name": x.name, "color": x.color} for x in scan.labels.labels],
            "start": None if start is None else start.tolist(),
            "header": TOKEN_HEADER,
            "token": session_token(),
            "density": None if density is None else asdict(density),
            "height": height_px,
            "test": in_test(),
        },
        key=key,
    )
