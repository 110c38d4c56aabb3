// Diameters of lesions, found or by hand, and distances: drawn over the planes, pulled by their ends, kept by the server.
import { length, moveEnd, nearest, paint, product } from "./calipers.js";

const FOUND = "#7fdbff";
const BY_HAND = "#ffd166";
const DISTANCE = "#b7f397";
const SHORTEST_MM = 1;

export class Measures {
  // `host` has nv, under(event), spot(event), changed() and the data that the page gave.
  constructor(svg, host) {
    Object.assign(this, { svg, host, shown: true, handles: [], pulled: null, past: [], touched: null });
  }

  load({ lesions, distances, readings }) {
    this.found = lesions;
    this.readings = readings;
    this.lines = { byHand: structuredClone(Object.fromEntries(lesions.filter((l) => l.by_hand).map((l) => [l.name, l.diameters]))), distances: structuredClone(distances) };
    this.kept = JSON.stringify(this.lines);
    this.past = [];
    this.touched = null;
  }

  // Lines that were drawn on an older reading, over those of the latest; nothing of either is lost.
  putOver({ byHand, distances }) {
    const all = [...this.lines.distances];
    const same = (a, b) => JSON.stringify(a.line) === JSON.stringify(b.line);
    for (const drawn of distances) {
      if (all.some((known) => same(known, drawn))) continue;
      let name = drawn.name;
      for (let n = 1; all.some((known) => known.name === name); n++) name = `D${n}`;
      all.push({ ...drawn, name });
    }
    this.lines = { byHand: { ...this.lines.byHand, ...byHand }, distances: all };
  }

  get dirty() { return this.kept !== undefined && JSON.stringify(this.lines) !== this.kept; }

  diameters(name) { return this.lines.byHand[name] ?? this.found.find((l) => l.name === name).diameters; }

  // As a reading has them.
  told() {
    const line = ([a, b]) => ({ start_ras_mm: a, end_ras_mm: b });
    const both = ({ longest, perpendicular }) => ({ longest: line(longest), perpendicular: line(perpendicular) });
    return {
      diameters: Object.fromEntries(Object.entries(this.lines.byHand).map(([name, d]) => [name, both(d)])),
      distances: this.lines.distances.map(({ name, line: drawn }) => ({ name, line: line(drawn) })),
    };
  }

  // For the list beside the planes.
  rows() {
    const lesions = this.found.map(({ name, place }) => {
      const d = this.diameters(name);
      const hand = Boolean(this.lines.byHand[name]);
      const more = `: ${product(d).toFixed(0)} mm\u00b2, ${hand ? "by hand" : "found in the mask"}`;
      return { name, place, by_hand: hand, more, text: `${length(d.longest).toFixed(1)} x ${length(d.perpendicular).toFixed(1)} mm` };
    });
    const distances = this.lines.distances.map(({ name, line }) => ({
      name, by_hand: true, more: "", text: `${length(line).toFixed(1)} mm`, place: line[0].map((v, n) => (v + line[1][n]) / 2),
    }));
    return [...lesions, ...distances];
  }

  draw() {
    const { nv } = this.host;
    if (!this.found || !nv?.volumes.length) return;
    const wanted = [];
    for (const { name } of this.shown ? this.found : []) {
      const d = this.diameters(name);
      const color = this.lines.byHand[name] ? BY_HAND : FOUND;
      const live = this.touched === name;
      wanted.push({ id: { name, which: "longest" }, line: d.longest, color, live, text: `${name} ${length(d.longest).toFixed(1)} x ${length(d.perpendicular).toFixed(1)} mm` });
      wanted.push({ id: { name, which: "perpendicular" }, line: d.perpendicular, color, live });
    }
    for (const { name, line } of this.shown ? this.lines.distances : []) {
      wanted.push({ id: { name, which: "distance" }, line, color: DISTANCE, live: this.touched === name, text: `${name} ${length(line).toFixed(1)} mm` });
    }
    this.handles = paint(this.svg, nv, wanted);
  }

  press(place, spot) {
    this.shown = true;
    this.draw();
    const handle = nearest(this.handles, spot);
    this.before = JSON.stringify(this.lines);
    if (handle) {
      this.pulled = { ...handle.id, end: handle.end };
    } else {
      const name = this.freeName();
      this.lines.distances.push({ name, line: [place, place] });
      this.pulled = { name, which: "distance", end: 1 };
    }
    this.touched = this.pulled.name;
  }

  move(place) {
    if (!this.pulled) return;
    const { name, which, end } = this.pulled;
    if (which === "distance") {
      this.lines.distances.find((d) => d.name === name).line[end] = place;
    } else {
      const moved = moveEnd(this.diameters(name), which, end, place);
      this.lines.byHand[name] = moved;
      // Pulled past the other one, it is the longest from now on.
      const swapped = moved[which].every((p) => p !== place);
      if (swapped) this.pulled.which = which === "longest" ? "perpendicular" : "longest";
    }
    this.draw();
  }

  release() {
    if (!this.pulled) return;
    this.pulled = null;
    this.lines.distances = this.lines.distances.filter(({ line }) => length(line) >= SHORTEST_MM);
    if (JSON.stringify(this.lines) !== this.before) this.past.push(this.before);
    this.draw();
    this.host.changed();
  }

  undo() {
    const before = this.past.pop();
    if (before === undefined) return;
    this.lines = JSON.parse(before);
    this.draw();
    this.host.changed();
  }

  // The line touched last: a distance goes, diameters are those found again.
  remove() {
    if (!this.found) return;
    this.past.push(JSON.stringify(this.lines));
    delete this.lines.byHand[this.touched];
    this.lines.distances = this.lines.distances.filter(({ name }) => name !== this.touched);
    if (JSON.stringify(this.lines) === this.past.at(-1)) this.past.pop();
    this.draw();
    this.host.changed();
  }

  freeName() {
    const taken = new Set(this.lines.distances.map(({ name }) => name));
    let n = 1;
    while (taken.has(`D${n}`)) n++;
    return `D${n}`;
  }
}
