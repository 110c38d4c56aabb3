"""How long a reader waits: a case of four sequences opened in the editor, scrolled and drawn on.

Usage: ``python benchmarks/review.py [--store STORE --patient ID]``; without a store an in-silico case of
240 x 240 x 155 voxels is made. Needs Chromium. In one run: the bare transfer of the same files over the same
route, the library alone that shows them, and the editor; milliseconds, the median of some openings.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, sync_playwright
from rich.console import Console
from rich.table import Table

from data.avatar import Avatar, Scan
from data.clinical import ClinicalRecord
from data.imaging import Segmentation, Volume
from data.store import AvatarStore
from models.measurement import measure
from pipelines.sites.glioma import LABELS

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from browser import CHROMIUM, FLAGS, serve  # as the browser tests start it

OPENINGS = 3
STROKES = 200
SHAPE = (240, 240, 155)
BARE = """async ({ header, token, files }) => {
  const started = performance.now();
  const blobs = await Promise.all(files.map(async (f) =>
    (await fetch(`/api/volume/${f}`, { headers: { [header]: token }, cache: "no-store" })).blob()));
  return { ms: performance.now() - started, bytes: blobs.reduce((n, b) => n + b.size, 0) };
}"""
LIBRARY = """async ({ header, token, files }) => {
  const { Niivue } = await import("/assets/niivue.js");
  const canvas = document.createElement("canvas");
  canvas.style.cssText = "width:900px;height:560px";
  document.body.append(canvas);
  const nv = new Niivue({ isResizeCanvas: false });
  await nv.attachToCanvas(canvas);
  const started = performance.now();
  const urls = await Promise.all(files.map(async (f) => URL.createObjectURL(await
    (await fetch(`/api/volume/${f}`, { headers: { [header]: token }, cache: "no-store" })).blob())));
  await nv.loadVolumes([{ url: urls[0], name: "a.nii.gz" }, { url: urls[1], name: "b.nii.gz", opacity: 0.5 }]);
  const ms = performance.now() - started;
  nv.gl.getExtension("WEBGL_lose_context")?.loseContext();
  canvas.remove();
  return ms;
}"""
MARKS = """() => Object.fromEntries(["start", "image", "overlay"].map(
  (n) => [n, performance.getEntriesByName(`avatar-${n}`)[0]?.startTime]))"""
DRAWN = """(count) => {
  const e = window.avatarEditor, { map } = e;
  const wait = () => // until it is drawn: reading a pixel back needs it
    e.nv.gl.readPixels(0, 0, 1, 1, e.nv.gl.RGBA, e.nv.gl.UNSIGNED_BYTE, new Uint8Array(4));
  const middle = e.dims.map((n) => Math.floor(n / 2));
  const stroke = (plane) => {
    const spent = [];
    const radius = 4;
    e.stroke = { edit: new map.Edit(e.labels, e.dims), plane, last: middle, value: 1, takes: () => true,
                 offsets: map.footprint(e.grid, radius, null) };
    for (let n = 0; n < count; n++) {
      const at = [middle[0] + n % 60, middle[1] + Math.floor(n / 8), middle[2]];
      const begun = performance.now();
      e.extend(at);
      cancelAnimationFrame(e.drawing);
      e.paint();
      wait();
      spent.push(performance.now() - begun);
    }
    e.release();
    return spent;
  };
  const drawn = stroke(2);
  const scrolled = [];
  for (let n = 0; n < 40; n++) {
    const begun = performance.now();
    e.nv.moveCrosshairInVox(0, 0, n % 2 ? 1 : -1);
    wait();
    scrolled.push(performance.now() - begun);
  }
  return { drawn, scrolled };
}"""


def make_case(store: AvatarStore) -> str:
    """Four noisy sequences and a mask of three labels, as large as a BraTS case."""
    rng = np.random.default_rng(1)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    grid = np.indices(SHAPE, np.int16) - (np.array(SHAPE) // 2)[:, None, None, None]
    brain = ((grid / np.array([70.0, 85.0, 65.0])[:, None, None, None]) ** 2).sum(0) < 1
    away = ((grid - np.array([25, 10, 5])[:, None, None, None]) ** 2).sum(0)
    mask = np.where(away < 25**2, 2, 0) + np.where(away < 16**2, 1, 0) - np.where(away < 8**2, 2, 0)
    images = {
        name: Volume((brain * (300 + 60 * rng.standard_normal(SHAPE))).astype(np.int16), affine)
        for name in ("t1", "t1c", "t2", "flair")
    }
    drawn = Segmentation(Volume(mask.astype(np.uint8), affine), LABELS)
    scan = Scan(
        day=0.0,
        sequences={name: store.put_volume(image) for name, image in images.items()},
        segmentation=store.put_volume(drawn.volume),
        labels=LABELS,
        segmenter="made for the benchmark",
        given=True,
        measurements=measure(drawn, None),
    )
    record = ClinicalRecord(patient_id="benchmark")
    store.put(
        Avatar(
            patient_id="benchmark", site="glioma", origin="in-silico", record=record,
            prior_class="none", scans=(scan,),
        )
    )  # fmt: skip
    return "benchmark"


def opened(page: Page, address: str, patient: str) -> dict[str, float]:
    """One opening of the editor, in ms from its start, and what the page took before."""
    page.goto(f"{address}/review?patient={patient}")
    page.wait_for_function("window.avatarEditor?.clock")
    marks = page.evaluate(MARKS)
    return {
        "page_ms": marks["start"],
        "first_image_ms": marks["image"] - marks["start"],
        "overlay_ms": marks["overlay"] - marks["start"],
    }


def main() -> int:
    """Print the table and, last, all figures as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--patient")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = given.store or Path(folder) / "store"
        with AvatarStore(store) as made:
            patient = given.patient or (
                make_case(made) if given.store is None else made.patients()[0]
            )
            shape = made.get(patient).latest_scan.segmentation.shape  # type: ignore[union-attr]
        process, address = serve(store)
        try:
            figures = measured(address, patient)
        finally:
            process.terminate()
            process.wait(20)
    figures |= {"patient": patient, "shape": list(shape)}
    table = Table(
        title=f"Opening {patient}, {' x '.join(map(str, shape))} voxels; software rendering"
    )
    table.add_column("")
    table.add_column("median", justify="right")
    for name, words, unit in (
        (
            "bare_ms",
            f"bare transfer of the image and the mask ({figures['megabytes']:.1f} MB)",
            "ms",
        ),
        ("library_ms", "NiiVue alone: both on a canvas", "ms"),
        ("page_ms", "the editor: page until it starts", "ms"),
        ("first_image_ms", "the editor: first image, from its start", "ms"),
        ("overlay_ms", "the editor: full overlay, from its start", "ms"),
        ("stroke_ms", f"one step of a 3-D brush of 8 mm ({STROKES} steps, drawn)", "ms"),
        ("stroke_p95_ms", "95 % of these within", "ms"),
        ("scroll_ms", "one slice further, all three planes drawn", "ms"),
        ("requests_while_drawing", "requests to the server while drawing and scrolling", ""),
    ):
        table.add_row(words, f"{figures[name]:.1f} {unit}".strip())
    Console().print(table)
    print(json.dumps(figures))
    return 0


def measured(address: str, patient: str) -> dict[str, object]:
    """All figures of one run."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(120_000)
        opened(page, address, patient)  # the server's first; caches are warm after it
        runs = [opened(page, address, patient) for _ in range(OPENINGS)]
        needs = page.evaluate(
            """() => { const d = window.avatarEditor.data; return { header: d.header, token: d.token,
                 files: [d.sequences.find((s) => s.name === d.first).sha256, d.mask] }; }"""
        )
        bare = [page.evaluate(BARE, needs) for _ in range(OPENINGS)]
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        drawn = page.evaluate(DRAWN, STROKES)
        count = len(requests)
        library = [page.evaluate(LIBRARY, needs) for _ in range(OPENINGS)]
        browser.close()
    middle = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    return {
        "bare_ms": statistics.median(run["ms"] for run in bare),
        "megabytes": bare[0]["bytes"] / 1e6,
        "library_ms": statistics.median(library),
        **middle,
        "stroke_ms": statistics.median(drawn["drawn"]),
        "stroke_p95_ms": float(np.percentile(drawn["drawn"], 95)),
        "scroll_ms": statistics.median(drawn["scrolled"]),
        "requests_while_drawing": count,
    }


if __name__ == "__main__":
    raise SystemExit(main())
