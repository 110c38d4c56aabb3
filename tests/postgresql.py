"""A real PostgreSQL of Debian's, for as long as a test needs it."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def tool(name: str) -> str | None:
    """Debian keeps the servers' tools out of the path."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else shutil.which(name)


def as_server(command: list[str]) -> None:
    """As Debian's own user where the tests run as root, which PostgreSQL refuses."""
    user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    done = subprocess.run([*user, *command], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@contextmanager
def served() -> Iterator[str]:
    """The URL of a new server's database."""
    initdb, control = tool("initdb"), tool("pg_ctl")
    if initdb is None or control is None:
        pytest.skip("PostgreSQL is not installed; 'make system' installs Debian's")
    with tempfile.TemporaryDirectory(prefix="postgresql-") as home:
        if os.geteuid() == 0:
            owner = pwd.getpwnam("postgres")
            os.chown(home, owner.pw_uid, owner.pw_gid)
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
        data = f"{home}/data"
        as_server([initdb, "-D", data, "-U", "board", "--auth=trust", "-E", "UTF8", "--no-sync"])
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={home}"
        as_server([control, "-D", data, "-w", "-l", f"{home}/log", "-o", options, "start"])
        try:
            yield f"postgresql+psycopg://board@127.0.0.1:{port}/postgres"
        finally:
            as_server([control, "-D", data, "-m", "immediate", "stop"])
