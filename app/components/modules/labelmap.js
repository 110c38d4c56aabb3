// Strokes on a label map: pure functions over arrays, so that they run in the browser and in Node alike.
//
// A grid is {dims: [nx, ny, nz], spacing: [dx, dy, dz]} with voxel (x, y, z) at x + nx * (y + ny * z);
// spacing is in millimetres. A plane is the axis that it is normal to: 0 sagittal, 1 coronal, 2 axial.

export const at = ([nx, ny], [x, y, z]) => x + nx * (y + ny * z);

// Offsets (in voxels) of a disk in a plane, or of a ball where the plane is null, with a radius in mm.
export function footprint({ spacing }, radius, plane) {
  const reach = spacing.map((h, axis) => (axis === plane ? 0 : Math.floor(radius / h + 1e-6)));
  const offsets = [];
  for (let z = 0 - reach[2]; z <= reach[2]; z++) {
    for (let y = 0 - reach[1]; y <= reach[1]; y++) {
      for (let x = 0 - reach[0]; x <= reach[0]; x++) {
        const apart = Math.hypot(x * spacing[0], y * spacing[1], z * spacing[2]);
        if (apart <= radius + 1e-6) offsets.push([x, y, z]);
      }
    }
  }
  return offsets;
}

// Voxels from one to another, both included, with no gap.
export function between(from, to) {
  const steps = Math.max(...to.map((v, axis) => Math.abs(v - from[axis])), 1);
  return Array.from({ length: steps + 1 }, (_, n) =>
    from.map((v, axis) => Math.round(v + ((to[axis] - v) * n) / steps)),
  );
}

// One edit while it is made: remembers what every voxel was before, and the box that it touched.
export class Edit {
  constructor(labels, dims) {
    Object.assign(this, { labels, dims, before: new Map(), low: [Infinity, Infinity, Infinity], high: [-1, -1, -1] });
  }

  set(voxel, value) {
    const { dims, labels, before } = this;
    if (voxel.some((v, axis) => v < 0 || v >= dims[axis])) return;
    const index = at(dims, voxel);
    if (labels[index] === value) return;
    if (!before.has(index)) before.set(index, labels[index]);
    labels[index] = value;
    for (let axis = 0; axis < 3; axis++) {
      this.low[axis] = Math.min(this.low[axis], voxel[axis]);
      this.high[axis] = Math.max(this.high[axis], voxel[axis]);
    }
  }

  // What undo needs; null where nothing changed in the end.
  finished() {
    const changed = [...this.before].filter(([index, value]) => this.labels[index] !== value);
    if (!changed.length) return null;
    return {
      indices: Uint32Array.from(changed, ([index]) => index),
      before: Uint8Array.from(changed, ([, value]) => value),
      after: Uint8Array.from(changed, ([index]) => this.labels[index]),
    };
  }
}

// Paint one footprint. `takes(old, index)` says whether a voxel of this label, at this place, is painted.
export function stamp(edit, center, offsets, value, takes = () => true) {
  for (const offset of offsets) {
    const voxel = center.map((v, axis) => v + offset[axis]);
    if (voxel.some((v, axis) => v < 0 || v >= edit.dims[axis])) continue;
    const index = at(edit.dims, voxel);
    if (takes(edit.labels[index], index)) edit.set(voxel, value);
  }
}

// Fill what the label encloses about a voxel, in one plane. False, and nothing done, where it is open.
export function fill(edit, seed, plane, value, takes = () => true) {
  const { dims, labels } = edit;
  const [u, v] = [0, 1, 2].filter((axis) => axis !== plane);
  const start = at(dims, seed);
  if (labels[start] === value) return false;
  const seen = new Set([start]);
  const inside = [seed];
  for (let n = 0; n < inside.length; n++) {
    for (const [axis, by] of [[u, 1], [u, -1], [v, 1], [v, -1]]) {
      const next = inside[n].slice();
      next[axis] += by;
      if (next[axis] < 0 || next[axis] >= dims[axis]) return false;
      const index = at(dims, next);
      if (labels[index] === value || seen.has(index)) continue;
      seen.add(index);
      inside.push(next);
    }
  }
  for (const voxel of inside) if (takes(labels[at(dims, voxel)])) edit.set(voxel, value);
  return true;
}

// What an operation made of a label map, as an edit; null where it changed nothing.
export function difference(before, after) {
  const indices = [];
  for (let n = 0; n < before.length; n++) if (before[n] !== after[n]) indices.push(n);
  if (!indices.length) return null;
  return {
    indices: Uint32Array.from(indices),
    before: Uint8Array.from(indices, (n) => before[n]),
    after: Uint8Array.from(indices, (n) => after[n]),
  };
}

// Edits that were made and taken back.
export class History {
  constructor(depth = 100) {
    Object.assign(this, { depth, done: [], undone: [], origin: {} });
  }

  // What the labels are now: the same again only when all since was undone. An edit that is too old to be undone
  // becomes the origin, so that what it made is never taken for what was there first.
  get mark() { return this.done.at(-1) ?? this.origin; }

  push(edit) {
    if (!edit) return;
    this.done.push(edit);
    this.undone = [];
    if (this.done.length > this.depth) this.origin = this.done.shift();
  }

  undo(labels) {
    return History.#move(this.done, this.undone, labels, "before");
  }

  redo(labels) {
    return History.#move(this.undone, this.done, labels, "after");
  }

  clear() {
    this.done = [];
    this.undone = [];
    this.origin = {};
  }

  static #move(from, to, labels, which) {
    const edit = from.pop();
    if (!edit) return false;
    for (let n = 0; n < edit.indices.length; n++) labels[edit.indices[n]] = edit[which][n];
    to.push(edit);
    return true;
  }
}

// A label map in little: pairs of run length and value.
export function packed(labels) {
  const runs = [];
  for (let start = 0; start < labels.length; ) {
    let end = start + 1;
    while (end < labels.length && labels[end] === labels[start]) end++;
    runs.push(end - start, labels[start]);
    start = end;
  }
  return Uint32Array.from(runs);
}

export function unpacked(runs, length) {
  const labels = new Uint8Array(length);
  let start = 0;
  for (let n = 0; n < runs.length; n += 2) {
    labels.fill(runs[n + 1], start, start + runs[n]);
    start += runs[n];
  }
  if (start !== length) throw new Error("the kept edits are of another scan");
  return labels;
}

// A file's voxels in the order of the editor: x to the patient's right-to-left as RAS has it, and so on.
// `permutation` is NiiVue's permRAS: which axis of the file (from 1) each RAS axis is, negative where flipped.
export function toRas(native, permutation, fileDims) {
  return reordered(native, permutation, fileDims, (out, inside, n, m) => { out[n] = inside[m]; });
}

// The way back.
export function toNative(ras, permutation, fileDims) {
  return reordered(ras, permutation, fileDims, (out, inside, n, m) => { out[m] = inside[n]; });
}

function reordered(inside, permutation, fileDims, copy) {
  const axes = permutation.map((p) => Math.abs(p) - 1);
  const strides = [1, fileDims[0], fileDims[0] * fileDims[1]];
  const dims = axes.map((axis) => fileDims[axis]);
  const steps = axes.map((axis, n) => (permutation[n] < 0 ? -strides[axis] : strides[axis]));
  const start = axes.reduce((sum, axis, n) => sum + (permutation[n] < 0 ? strides[axis] * (dims[n] - 1) : 0), 0);
  const out = new inside.constructor(inside.length);
  let n = 0;
  for (let z = 0; z < dims[2]; z++) {
    for (let y = 0; y < dims[1]; y++) {
      let m = start + z * steps[2] + y * steps[1];
      for (let x = 0; x < dims[0]; x++, n++, m += steps[0]) copy(out, inside, n, m);
    }
  }
  return out;
}
