"""What several pages and commands say."""

from __future__ import annotations

ORIGIN_WORDS = {
    "patient": "real patient",
    "in-silico": "in silico",
    "public-sample": "public sample",
}
NO_PATIENT = {"in-silico": "In-silico patient: no person", "public-sample": "Public sample"}
BANNER = (
    ":orange-badge[Research use only] Not a medical device. Masks are automatic unless signed by a reader; "
    "simulations are in silico."
)
BEHIND = (
    "Calibration and forecasts were computed before a mask was signed: `avatar run` on the study makes them "
    "again from the signed one."
)


def clock(seconds: float) -> str:
    """A time span as people say it."""
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {left:02d} s" if minutes else f"{left} s"
