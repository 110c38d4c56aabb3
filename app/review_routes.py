"""The routes by which the editor keeps masks and decisions; errors are sentences for the reader.

Every one wants the token of this server's pages and comes from a page of this server. A save that stands
on an older version than the latest is answered with 409 and what is the latest; what breaks a rule with 422.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial, wraps
from urllib.parse import unquote, urlsplit

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from app.review_views import measures_of
from app.state import TOKEN_HEADER, followed_scans, open_store, session_token
from data.errors import AvatarError, ConflictError, ReviewError
from data.imaging import AFFINE_TOLERANCE_MM, Volume
from data.io.structured import explain
from data.lesions import Diameters
from data.reading import Distance
from data.review import Review
from pipelines.edit import EditOptions, operate
from pipelines.follow_up import lesions_on
from pipelines.review import (
    ReviewCase,
    Spent,
    find_case,
    keep_reading,
    request_changes,
    save_version,
    sign,
)

MOST_BYTES = 32 * 2**20
"""Of a gzipped mask; one of 512 cubed with every voxel drawn is smaller."""

Handler = Callable[[Request], Awaitable[Response]]


def trusted(handler: Handler) -> Handler:
    """Refuse requests without the token, from another site, or too large; mistakes become sentences."""

    @wraps(handler)
    async def guarded(request: Request) -> Response:
        if request.headers.get(TOKEN_HEADER) != session_token():
            return PlainTextResponse("reload the page: the server was started anew", 403)
        origin = request.headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
            return PlainTextResponse("another site may not write here", 403)
        try:
            return await handler(request)
        except ConflictError as error:
            return _latest(request, error)
        except AvatarError as error:
            return PlainTextResponse(str(error), 422)

    return guarded


@trusted
async def _save(request: Request) -> Response:
    """PUT: the next version."""
    body = await _body(request)

    def work() -> Response:
        case = _case(request)
        _require_shown(request, case)
        review = save_version(
            open_store(),
            case,
            _mask(request, case, body),
            base=_base(request),
            by=_words(request, "Reader"),
            at=_now(),
            spent=_spent(request),
            comment=_words(request, "Comment"),
        )
        return JSONResponse({"version": review.version})

    return await run_in_threadpool(work)


@trusted
async def _operate(request: Request) -> Response:
    """POST: a label map to the one after an operation; nothing is kept."""
    body = await _body(request)

    def work() -> Response:
        case = _case(request)
        asked = dict(request.query_params)
        points = {key: json.loads(asked.pop(key)) for key in ("inside", "outside") if key in asked}
        try:
            options = EditOptions.model_validate({**asked, **points})
        except ValidationError as error:
            raise ReviewError(explain(error)) from error
        edited = operate(
            open_store(),
            case.scan,
            _mask(request, case, body),
            request.path_params["operation"],
            options,
        )
        packed = _packed(np.asarray(edited.array, np.uint8).tobytes(order="F"))
        return Response(packed, media_type="application/gzip")

    return await run_in_threadpool(work)


@trusted
async def _decide(request: Request) -> Response:
    """POST: sign a version or send the case back."""

    def work() -> Response:
        case, decision = _case(request), request.headers.get("X-Avatar-Decision")
        acts: dict[str, Callable[..., Review]] = {
            "sign": partial(sign, after=_count(request, "Readings")),
            "request changes": request_changes,
        }
        act = acts.get(decision or "")
        if act is None:
            raise ReviewError(f"a decision is 'sign' or 'request changes', got {decision!r}")
        _require_shown(request, case)
        review = act(
            open_store(),
            case,
            version=_base(request),
            by=_words(request, "Reader"),
            at=_now(),
            comment=_words(request, "Comment"),
            spent=_spent(request),
        )
        return JSONResponse({"status": review.status})

    return await run_in_threadpool(work)


class _Lines(BaseModel):
    model_config = ConfigDict(extra="forbid")

    diameters: dict[str, Diameters] = Field(max_length=100)
    distances: tuple[Distance, ...] = Field(max_length=50)


@trusted
async def _measures(request: Request) -> Response:
    """GET: diameters of the lesions in the latest version, and what a reader has drawn."""

    def work() -> Response:
        case = _case(request)
        followed = followed_scans(case.avatar.patient_id)
        lesions = lesions_on(followed, case.scan.day)
        found = {name: lesion.diameters for name, lesion in lesions.items()}
        return JSONResponse(measures_of(case.review, found))

    return await run_in_threadpool(work)


@trusted
async def _measure(request: Request) -> Response:
    """POST: lines that a reader drew, in place of those in the last reading; what else it says stays."""
    body = await _body(request)

    def work() -> Response:
        case = _case(request)
        try:
            lines = _Lines.model_validate_json(body)
        except ValidationError as error:
            raise ReviewError(f"{case.name}: {explain(error)}") from error
        drawn = {"diameters": lines.diameters, "distances": lines.distances}
        review = keep_reading(
            open_store(),
            case,
            case.review.reading.model_copy(update=drawn),
            after=_count(request, "Readings"),
            by=_words(request, "Reader"),
            at=_now(),
            spent=_spent(request),
        )
        return JSONResponse({"readings": review.readings})

    return await run_in_threadpool(work)


ROUTES = [
    Route("/api/review/{patient}/{day}/mask", _save, methods=["PUT"]),
    Route("/api/review/{patient}/{day}/operate/{operation}", _operate, methods=["POST"]),
    Route("/api/review/{patient}/{day}/measures", _measures, methods=["GET"]),
    Route("/api/review/{patient}/{day}/measures", _measure, methods=["POST"]),
    Route("/api/review/{patient}/{day}/decision", _decide, methods=["POST"]),
]


def _case(request: Request) -> ReviewCase:
    try:
        day = float(request.path_params["day"])
    except ValueError as error:
        raise ReviewError(f"a day is a number, got {request.path_params['day']!r}") from error
    return find_case(open_store(), request.path_params["patient"], day)


def _latest(request: Request, error: ConflictError) -> Response:
    case = _case(request)
    told = {
        "said": str(error), "version": case.review.version, "mask": case.mask().sha256,
        "before_review": case.mask(0).sha256,
    }  # fmt: skip
    return JSONResponse(told, 409)


def _require_shown(request: Request, case: ReviewCase) -> None:
    """A mask that a run has made anew is another one than that which an open page still shows.

    Raises:
        ConflictError: the page stands on a version 0 that is no more.
    """
    shown = request.headers.get("X-Avatar-First")
    if shown and _base(request) == 0 and shown != case.mask(0).sha256:
        raise ConflictError(
            f"{case.name}: the mask before review was made anew since this page was opened, as another one"
        )


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise ReviewError(f"the mask is larger than {MOST_BYTES // 2**20} MiB")
    return bytes(body)


def _mask(request: Request, case: ReviewCase, body: bytes) -> Volume:
    """Labels as the browser sends them: gzipped bytes, first axis fastest, on the grid of the scan's mask."""
    store = open_store()
    grid = store.volume(case.mask(0))
    size = math.prod(grid.shape)
    try:
        affine = np.array(json.loads(request.headers["X-Avatar-Affine"]), float).reshape(4, 4)
        content = _unpacked(body, size)
    except (KeyError, ValueError, zlib.error) as error:
        raise ReviewError(f"{case.name}: not a mask as the editor sends it ({error})") from error
    if len(content) != size or not np.allclose(affine, grid.affine, atol=AFFINE_TOLERANCE_MM):
        raise ReviewError(
            f"{case.name}: the mask was drawn on another image; reload the page and draw on this one"
        )
    array = np.frombuffer(content, np.uint8).reshape(grid.shape, order="F")
    return grid.with_array(np.ascontiguousarray(array))


def _unpacked(body: bytes, size: int) -> bytes:
    """At most one byte more than there should be: a small body must not fill the memory."""
    return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(body, size + 1)


def _packed(content: bytes) -> bytes:
    packer = zlib.compressobj(1, wbits=zlib.MAX_WBITS | 16)
    return packer.compress(content) + packer.flush()


def _base(request: Request) -> int:
    return _count(request, "Base")


def _count(request: Request, what: str) -> int:
    given = request.headers.get(f"X-Avatar-{what}", "")
    if not given.isdigit():
        raise ReviewError(f"X-Avatar-{what}, what was worked on, is a number, got {given!r}")
    return int(given)


def _words(request: Request, what: str) -> str:
    return unquote(request.headers.get(f"X-Avatar-{what}", ""))


def _spent(request: Request) -> Spent:
    try:
        viewed, edited = json.loads(request.headers.get("X-Avatar-Spent", "[0, 0]"))
        return Spent(float(viewed), float(edited))
    except (TypeError, ValueError) as error:
        raise ReviewError("the seconds spent are two numbers") from error


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
