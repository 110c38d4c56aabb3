// Lines that are laid on a lesion: pure functions over points in mm, and their picture over the planes.
//
// A line is [a, b] with points [x, y, z] in RAS mm. Diameters are {longest, perpendicular}, at right angles.

const minus = (a, b) => a.map((v, n) => v - b[n]);
const plus = (a, b, times = 1) => a.map((v, n) => v + times * b[n]);
const dot = (a, b) => a.reduce((sum, v, n) => sum + v * b[n], 0);
const unit = (a) => a.map((v) => v / Math.hypot(...a));

export const length = ([a, b]) => Math.hypot(...minus(b, a));

export const product = ({ longest, perpendicular }) => length(longest) * length(perpendicular);

// The longer one is called the longest.
const ordered = ({ longest, perpendicular }) =>
  length(perpendicular) > length(longest) ? { longest: perpendicular, perpendicular: longest } : { longest, perpendicular };

// One end of one of two diameters is moved, and they stay at right angles: the second turns with the first about its
// own middle, and slides along the first when it is moved itself.
export function moveEnd({ longest, perpendicular }, which, end, to) {
  if (which === "longest") {
    const moved = end === 0 ? [to, longest[1]] : [longest[0], to];
    if (length(moved) === 0) return { longest, perpendicular };
    const along = unit(minus(moved[1], moved[0]));
    const old = minus(perpendicular[1], perpendicular[0]);
    const across = minus(old, along.map((v) => v * dot(old, along)));
    if (Math.hypot(...across) < 1e-6) return { longest, perpendicular };
    const half = unit(across).map((v) => (v * length(perpendicular)) / 2);
    const middle = perpendicular[0].map((v, n) => (v + perpendicular[1][n]) / 2);
    return ordered({ longest: moved, perpendicular: [minus(middle, half), plus(middle, half)] });
  }
  const along = unit(minus(longest[1], longest[0]));
  const other = perpendicular[1 - end];
  const shifted = plus(other, along, dot(minus(to, other), along));
  const moved = end === 0 ? [to, shifted] : [shifted, to];
  return length(moved) === 0 ? { longest, perpendicular } : ordered({ longest, perpendicular: moved });
}

// The handle nearest to a place on the screen, within reach; null where there is none.
export function nearest(handles, [x, y], reach = 9) {
  let best = null;
  for (const handle of handles) {
    const apart = Math.hypot(handle.at[0] - x, handle.at[1] - y);
    if (apart <= reach && (!best || apart < best.apart)) best = { ...handle, apart };
  }
  return best;
}

const SVG = "http://www.w3.org/2000/svg";

function made(tag, attributes, text) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

// Where a line is seen: in each plane that it lies in, at the slice that is shown. CSS pixels.
export function seen(nv, line) {
  const scale = nv.uiData.dpr || 1;
  const dims = nv.volumes[0].dimsRAS.slice(1, 4);
  const fracs = line.map((place) => Array.from(nv.mm2frac(place, 0, true)));
  const found = [];
  for (const slice of [0, 1, 2]) { // axial, coronal, sagittal
    const axis = 2 - slice;
    const shown = Math.floor(nv.scene.crosshairPos[axis] * dims[axis]);
    if (fracs.some((frac) => Math.abs(frac[axis] * dims[axis] - shown - 0.5) > 0.75)) continue;
    const ends = fracs.map((frac) => {
      const flat = frac.slice();
      flat[axis] = nv.scene.crosshairPos[axis];
      return nv.frac2canvasPosWithTile(flat, slice)?.pos.map((v) => v / scale);
    });
    if (ends.every(Boolean)) found.push(ends);
  }
  return found;
}

// Draw lines of {id, line, color, text, live} over the planes; gives back their handles.
export function paint(svg, nv, lines) {
  const handles = [];
  const drawn = [];
  for (const { id, line, color, text, live } of lines) {
    for (const [a, b] of seen(nv, line)) {
      const stroke = { stroke: color, "stroke-width": live ? 2.2 : 1.4 };
      drawn.push(made("line", { x1: a[0], y1: a[1], x2: b[0], y2: b[1], ...stroke }));
      [a, b].forEach((at, end) => {
        drawn.push(made("circle", { cx: at[0], cy: at[1], r: live ? 4 : 2.5, fill: "#101418", ...stroke }));
        handles.push({ id, end, at });
      });
      if (text) drawn.push(made("text", { x: Math.max(a[0], b[0]) + 8, y: (a[0] > b[0] ? a : b)[1] + 4, fill: color }, text));
    }
  }
  svg.replaceChildren(...drawn);
  return handles;
}
