"""The board as an ASGI application: Streamlit plus the routes that carry volumes to the browser."""

from __future__ import annotations

import logging
import os
import socket
from pathlib import Path

import uvicorn
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route
from streamlit import config
from streamlit.web.server.starlette import App

from app.densities import offered
from app.review_routes import ROUTES as REVIEW_ROUTES
from app.state import TOKEN_HEADER, open_store, session_token
from data.errors import BoardError

HOST = "127.0.0.1"
HERE = Path(__file__).parent
NIIVUE = HERE / "assets" / "niivue.js"
MODULES = {path.stem: path for path in (HERE / "components" / "modules").glob("*.js")}
"""Parts that the components share, by name."""
STOPS_WITHIN_S = 5
"""Whatever pages are still open."""
SETTINGS = {
    "browser.gatherUsageStats": False,
    "client.showErrorDetails": "none",
    "client.toolbarMode": "minimal",
    "logger.level": "warning",
    "server.enableStaticServing": False,
    "server.headless": True,
    "theme.primaryColor": "#1f77a4",
}


def build_app(store: Path) -> App:
    """The application over one store."""
    os.environ["AVATAR_STORE"] = str(store)
    for name, value in SETTINGS.items():
        config.set_option(name, value)
    routes = [
        Route("/api/volume/{sha256}", _volume, methods=["GET"]),
        Route("/api/density/{name}", _density, methods=["GET"]),
        Route("/assets/niivue.js", _niivue, methods=["GET"]),
        Route("/assets/{module}.js", _module, methods=["GET"]),
    ]
    return App(HERE / "main.py", routes=[*routes, *REVIEW_ROUTES])


def serve(store: Path, port: int) -> None:
    """Serve on this machine only, until interrupted.

    Raises:
        BoardError: the port is taken or not allowed.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise BoardError(
                f"port {port} on {HOST} cannot be used ({error.strerror}); choose another with --port"
            ) from error
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    settings = uvicorn.Config(
        build_app(store),
        host=HOST,
        port=port,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=STOPS_WITHIN_S,
    )
    uvicorn.Server(settings).run()


async def _volume(request: Request) -> Response:
    """One stored volume, for pages of this server only."""
    if request.headers.get(TOKEN_HEADER) != session_token():
        return PlainTextResponse("open the viewer through the board", status_code=403)
    digest = request.path_params["sha256"]
    if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        return PlainTextResponse("not a volume's name", status_code=422)
    path = open_store().volume_path(digest)
    if not path.exists():
        return PlainTextResponse("the store has no such volume", status_code=404)
    return FileResponse(path, media_type="application/gzip", headers={"cache-control": "private"})


async def _density(request: Request) -> Response:
    """A simulated density that a page of this server has just shown."""
    if request.headers.get(TOKEN_HEADER) != session_token():
        return PlainTextResponse("open the viewer through the board", status_code=403)
    content = offered(request.path_params["name"])
    if content is None:
        return PlainTextResponse("gone from memory: reload the page", status_code=404)
    return Response(content, media_type="application/gzip", headers={"cache-control": "private"})


async def _niivue(_: Request) -> Response:
    if not NIIVUE.exists():
        return PlainTextResponse("run 'make setup' to fetch the viewer library", status_code=404)
    return FileResponse(NIIVUE, media_type="text/javascript")


async def _module(request: Request) -> Response:
    path = MODULES.get(request.path_params["module"])
    if path is None:
        return PlainTextResponse("no such module", status_code=404)
    return FileResponse(path, media_type="text/javascript", headers={"cache-control": "no-cache"})
