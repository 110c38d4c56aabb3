"""Debian's Orthanc in a network of its own, since it answers on every address whatever it is told.

Run as a script within ``unshare --net``, it starts the server on loopback and does a radiologist's errands with
the ``avatar`` command; what came of them is written as JSON for the test to judge.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ORTHANC = shutil.which("Orthanc") or "/usr/sbin/Orthanc"
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
URL = "http://127.0.0.1:8042/dicom-web"
USER, PASSWORD = "reader", "a password"
SERVER_IS_UP_S = 60.0
ASKED_AGAIN_S = 0.3


def why_not():
    """Why it cannot be run here; empty where it can."""
    if not (Path(ORTHANC).exists() and PLUGIN.exists()):
        return "Orthanc is not installed; 'make system' installs Debian's"
    if subprocess.run([*apart(), "true"], capture_output=True, check=False).returncode:
        return "this machine gives no network of one's own (unshare --net)"
    return ""


def apart():
    """How a command is run in a network of its own."""
    as_root = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", "--net", *as_root, "--"]


def main(folder: Path) -> None:
    """Start the server and do the errands."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    config = folder / "orthanc.json"
    settings = {
        "StorageDirectory": str(folder / "db"), "IndexDirectory": str(folder / "db"),
        "HttpPort": 8042, "DicomServerEnabled": False, "RemoteAccessAllowed": False,
        "Plugins": [str(PLUGIN.resolve())], "AuthenticationEnabled": True,
        "RegisteredUsers": {USER: PASSWORD}, "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }  # fmt: skip
    config.write_text(json.dumps(settings))
    with (folder / "orthanc.log").open("wb") as log:
        server = subprocess.Popen([ORTHANC, str(config)], stdout=log, stderr=log)
    try:
        _wait(server)
        (folder / "results.json").write_text(json.dumps(_errands(folder)))
    finally:
        server.terminate()
        server.wait(20)


def _wait(server: subprocess.Popen[bytes]) -> None:
    """Until it answers that it wants a user; or it has ended."""
    end = time.monotonic() + SERVER_IS_UP_S
    while time.monotonic() < end:
        try:
            urllib.request.urlopen(URL + "/studies", timeout=2)
        except urllib.error.HTTPError as error:
            if error.code == 401:
                return
        except OSError:
            pass
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(ASKED_AGAIN_S)
            break  # it has ended
    raise SystemExit("Orthanc did not start")


def _errands(folder: Path) -> dict[str, list[object]]:
    """Return code, standard output and standard error of each."""
    whole = ["--url", URL, "--user", USER]
    images = sorted(str(p) for p in (folder / "series").iterdir())
    results = sorted(str(p) for p in (folder / "results").iterdir())
    key = ["--key", str(folder / "key")]
    errands = {
        "no user": ["pacs", "list", "--url", URL, "--patient", "P1"],
        "push": ["pacs", "push", *images, *whole],
        "list": ["pacs", "list", "--patient", "P1", "--json", *whole],
        "accession": ["pacs", "list", "--accession", "A17", "--json", *whole],
        "nobody": ["pacs", "list", "--patient", "P2", *whole],
        "wildcard": ["pacs", "list", "--patient", "P*", *whole],
        "pull": ["pacs", "pull", str(folder / "pulled"), "--patient", "P1", "--take", "1=t1c", *key, *whole],
        "again": ["pacs", "pull", str(folder / "again"), "--patient", "P1", "--take", "1=t1c", *key, *whole],
        "kept": ["pacs", "pull", str(folder / "kept"), "--accession", "A17", "--take", "1=t1c",
                 "--keep-identity", *whole],
        "exists": ["pacs", "pull", str(folder / "kept"), "--patient", "P1", "--take", "1=t1c", *whole],
        "no series": ["pacs", "pull", str(folder / "none"), "--patient", "P1", "--take", "7=t1c", *whole],
        "results": ["pacs", "push", *results, *whole],
    }  # fmt: skip
    told = {name: _avatar(words) for name, words in errands.items()}
    told["instances"] = [0, json.dumps(_get("/instances?expand")), ""]
    back = folder / "back"
    back.mkdir()
    for entry in json.loads(str(told["instances"][1])):
        modality = _get(f"/instances/{entry['ID']}/simplified-tags").get("Modality")
        if modality in ("SEG", "SR", "RTSTRUCT"):
            (back / f"{modality}.dcm").write_bytes(_raw(f"/instances/{entry['ID']}/file"))
    return told


def _avatar(words: list[str]) -> list[object]:
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "AVATAR_PACS_PASSWORD": PASSWORD},
    )
    return [done.returncode, done.stdout, done.stderr]


def _raw(path: str) -> bytes:
    manager = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    manager.add_password(None, "http://127.0.0.1:8042", USER, PASSWORD)
    opener = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(manager))
    with opener.open(f"http://127.0.0.1:8042{path}", timeout=20) as answer:
        content: bytes = answer.read()
        return content


def _get(path: str) -> object:
    return json.loads(_raw(path))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
