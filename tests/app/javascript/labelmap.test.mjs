import assert from "node:assert/strict";
import test from "node:test";
import { Edit, History, at, between, difference, fill, footprint, packed, stamp, toNative, toRas, unpacked } from "../../../app/components/modules/labelmap.js";

const dims = [7, 6, 5];
const blank = () => new Uint8Array(7 * 6 * 5);
const grid = { dims, spacing: [1, 1, 3] };

test("a ball is round in millimetres, a disk lies in its plane", () => {
  const ball = footprint(grid, 3, null);
  assert.ok(ball.every(([x, y, z]) => Math.hypot(x, y, 3 * z) <= 3));
  assert.equal(ball.filter(([, , z]) => z !== 0).length, 2); // 3 mm up and down, right above and below
  assert.equal(ball.filter(([, , z]) => z === 0).length, 29); // lattice points within 3 of the origin
  assert.ok(footprint(grid, 3, 0).every(([x]) => x === 0));
  assert.deepEqual(footprint(grid, 0.4, 2), [[0, 0, 0]]);
});

test("a fast stroke has no gap", () => {
  const path = between([0, 0, 0], [6, 3, 1]);
  assert.deepEqual(path.at(0), [0, 0, 0]);
  assert.deepEqual(path.at(-1), [6, 3, 1]);
  for (let n = 1; n < path.length; n++) {
    assert.ok(path[n].every((v, axis) => Math.abs(v - path[n - 1][axis]) <= 1));
  }
});

test("a stamp keeps within the image and to the voxels that it may take", () => {
  const labels = blank();
  labels[at(dims, [0, 1, 0])] = 2;
  const edit = new Edit(labels, dims);
  stamp(edit, [0, 0, 0], footprint(grid, 1, 2), 1, (old) => old === 0);
  assert.deepEqual([...labels].filter(Boolean).length, 3);
  assert.equal(labels[at(dims, [0, 1, 0])], 2);
  assert.deepEqual([edit.low, edit.high], [[0, 0, 0], [1, 0, 0]]);
});

test("fill stops at a closed outline and does nothing in an open one", () => {
  const labels = blank();
  for (const [x, y] of [[1, 1], [2, 1], [3, 1], [1, 2], [3, 2], [1, 3], [2, 3], [3, 3]]) labels[at(dims, [x, y, 2])] = 1;
  const edit = new Edit(labels, dims);
  assert.equal(fill(edit, [2, 2, 2], 2, 1), true);
  assert.equal(labels[at(dims, [2, 2, 2])], 1);
  assert.equal(edit.finished().indices.length, 1);
  const before = labels.slice();
  labels[at(dims, [3, 2, 2])] = 0;
  labels[at(dims, [2, 2, 2])] = 0;
  const open = new Edit(labels, dims);
  assert.equal(fill(open, [2, 2, 2], 2, 1), false);
  assert.equal(open.finished(), null);
  assert.notDeepEqual(labels, before);
});

test("twenty-five edits are undone and made again, in order", () => {
  const labels = blank();
  const history = new History();
  const states = [labels.slice()];
  for (let n = 0; n < 25; n++) {
    const edit = new Edit(labels, dims);
    stamp(edit, [n % 7, n % 6, n % 5], footprint(grid, 1 + (n % 3), n % 4 === 3 ? null : n % 3), 1 + (n % 3));
    history.push(edit.finished());
    states.push(labels.slice());
  }
  for (let n = 24; n >= 0; n--) { history.undo(labels); assert.deepEqual(labels, states[n]); }
  assert.equal(history.undo(labels), false);
  for (let n = 1; n <= 25; n++) { history.redo(labels); assert.deepEqual(labels, states[n]); }
  history.undo(labels);
  const other = new Edit(labels, dims);
  other.set([6, 5, 4], 3);
  history.push(other.finished());
  assert.equal(history.redo(labels), false); // a new edit ends what could be made again
});

test("an edit that comes to nothing is none", () => {
  const labels = blank();
  const edit = new Edit(labels, dims);
  edit.set([1, 1, 1], 1);
  edit.set([1, 1, 1], 0);
  assert.equal(edit.finished(), null);
  assert.equal(difference(labels, labels.slice()), null);
});

test("a packed map unpacks to itself and to no other size", () => {
  const labels = Uint8Array.from({ length: 210 }, (_, n) => (n % 11 < 4 ? 2 : n % 7 === 0 ? 1 : 0));
  assert.deepEqual(unpacked(packed(labels), 210), labels);
  assert.throws(() => unpacked(packed(labels), 211), /another scan/);
});

// Every way that a file's axes can lie: the voxel that each RAS axis comes from, counted by hand.
for (const order of [[1, 2, 3], [1, 3, 2], [2, 1, 3], [2, 3, 1], [3, 1, 2], [3, 2, 1]]) {
  for (let signs = 0; signs < 8; signs++) {
    const permutation = order.map((axis, n) => (signs & (1 << n) ? -axis : axis));
    test(`a file with axes ${permutation} goes to RAS and back`, () => {
      const native = Uint8Array.from({ length: 210 }, (_, n) => n);
      const ras = toRas(native, permutation, dims);
      const size = permutation.map((p) => dims[Math.abs(p) - 1]);
      for (const [x, y, z] of [[0, 0, 0], [1, 2, 3], [size[0] - 1, 0, size[2] - 1]]) {
        const file = [0, 0, 0];
        [x, y, z].forEach((v, n) => {
          const axis = Math.abs(permutation[n]) - 1;
          file[axis] = permutation[n] < 0 ? dims[axis] - 1 - v : v;
        });
        assert.equal(ras[x + size[0] * (y + size[1] * z)], native[at(dims, file)]);
      }
      assert.deepEqual(toNative(ras, permutation, dims), native);
    });
  }
}

test("what is too old to be undone is not taken for what was there first", () => {
  const labels = new Uint8Array(8);
  const history = new History(3);
  const first = history.mark;
  for (let n = 0; n < 5; n++) {
    const edit = { indices: [n], before: [0], after: [1] };
    labels[n] = 1;
    history.push(edit);
  }
  const saved = history.mark;
  while (history.undo(labels)) { /* as far as it goes */ }
  assert.deepEqual([...labels], [1, 1, 0, 0, 0, 0, 0, 0]);
  assert.notEqual(history.mark, first);
  while (history.redo(labels)) { /* and back */ }
  assert.equal(history.mark, saved);
});
