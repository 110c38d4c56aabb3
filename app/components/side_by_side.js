// Two scans of one patient on one grid, at the same place: the earlier one left, the later one right.
const pairs = new WeakMap();
const BLINK_MS = 600;
const LEAST = 12; // percent of the earlier scan's range; below it is noise
const MOST = 80;

let volumes;

const nameOf = ({ earlier, later, difference }) => [earlier, later].map((s) => `${s.sha256}:${s.mask}`).join("|") + difference;

class Pair {
  constructor(root, data) {
    Object.assign(this, { root, data, preset: "auto", opacity: 0.45, shown: true, changed: false, blinking: null, lesion: -1 });
  }

  find(selector) { return this.root.querySelector(selector); }

  async start() {
    const { data } = this;
    for (const stage of this.root.querySelectorAll(".stage")) stage.style.height = `${data.height}px`;
    this.find(".earlier").textContent = data.earlier.title;
    this.find(".later").textContent = data.later.title;
    this.find(".least").textContent = LEAST;
    this.find(".most").textContent = MOST;
    volumes = await import(`${location.origin}/assets/volumes.js`);
    this.find(".legend").replaceChildren(...volumes.legendOf(data.legend));
    const say = () => this.say();
    const [first, second] = await Promise.all([".first", ".second"].map((c) => volumes.newPlanes(this.find(c), say)));
    this.nvs = [first.nv, second.nv];
    if (data.test) Object.assign(window, { avatarPair: this });
    for (const nv of this.nvs) this.arrange(nv);
    const fetched = (sha256, name) => volumes.fetchVolume(data, sha256, name);
    const files = await Promise.all([
      fetched(data.earlier.sha256, "earlier"), fetched(data.earlier.mask, "mask"),
      fetched(data.later.sha256, "later"), fetched(data.later.mask, "mask"),
      fetched(data.difference, "difference"), fetched(data.earlier.sha256, "earlier"),
    ]);
    const image = (file) => ({ ...file, colormap: "gray", ...this.range() });
    const change = { ...files[4], colormap: "warm", colormapNegative: "winter", cal_min: LEAST, cal_max: MOST, opacity: 0 };
    // The earlier scan lies under the later one's overlays too, to blink.
    await this.nvs[0].loadVolumes([image(files[0]), { ...files[1], opacity: this.opacity }]);
    await this.nvs[1].loadVolumes([
      image(files[2]), { ...files[3], opacity: this.opacity }, change,
      { ...image(files[5]), opacity: 0 },
    ]);
    for (const file of files) URL.revokeObjectURL(file.url);
    for (const nv of this.nvs) {
      nv.volumes[1].setColormapLabel(data.colormap);
      nv.updateGLVolume();
    }
    this.nvs[0].broadcastTo([this.nvs[1]], { "2d": true, "3d": false, crosshair: true, sliceType: false });
    this.nvs[1].broadcastTo([this.nvs[0]], { "2d": true, "3d": false, crosshair: true, sliceType: false });
    this.offerPresets();
    this.listen();
    if (data.lesions.length) this.next(1);
    this.find(".next-lesion").disabled = !data.lesions.length;
    this.find(".note").textContent = "";
    this.ready = true;
  }

  arrange(nv) {
    nv.setCustomLayout([
      { sliceType: nv.sliceTypeAxial, position: [0, 0, 0.66, 1] },
      { sliceType: nv.sliceTypeCoronal, position: [0.66, 0, 0.34, 0.5] },
      { sliceType: nv.sliceTypeSagittal, position: [0.66, 0.5, 0.34, 0.5] },
    ]);
  }

  range() {
    const [low, high] = volumes.rangeOf(this.preset, this.data.window);
    return { cal_min: low, cal_max: high };
  }

  offerPresets() {
    const menu = this.find(".window");
    menu.replaceChildren(...volumes.presetsOf(this.data.sequence).map((name) => new Option(name, name)));
    menu.value = this.preset;
  }

  say() {
    if (!this.nvs?.every((nv) => nv.volumes.length)) return;
    const [x, y, z] = volumes.placeOf(this.nvs[0]);
    const { name, what } = this.data.lesions[this.lesion] ?? {};
    this.find(".where").textContent = `${name ? `${name}, ${what}. ` : ""}RAS ${x.toFixed(0)}, ${y.toFixed(0)}, ${z.toFixed(0)} mm of the earlier scan`;
  }

  applyWindow() {
    const [first, second] = this.nvs;
    for (const shown of [first.volumes[0], second.volumes[0], second.volumes[3]]) Object.assign(shown, this.range());
    for (const nv of this.nvs) nv.updateGLVolume();
  }

  applyMasks() {
    for (const nv of this.nvs) nv.setOpacity(1, this.shown ? this.opacity : 0);
  }

  toggleDifference() {
    this.changed = !this.changed;
    this.nvs[1].setOpacity(2, this.changed ? 0.85 : 0);
    this.find(".scale").hidden = !this.changed;
    this.find(".difference").setAttribute("aria-pressed", String(this.changed));
  }

  toggleBlink() {
    const on = !this.blinking;
    clearInterval(this.blinking);
    this.blinking = null;
    let earlier = false;
    const turn = (to) => { earlier = to; this.nvs[1].setOpacity(3, earlier ? 1 : 0); this.find(".later").textContent = earlier ? this.data.earlier.title : this.data.later.title; };
    if (on) this.blinking = setInterval(() => turn(!earlier), BLINK_MS);
    else turn(false);
    this.find(".blink").setAttribute("aria-pressed", String(on));
  }

  next(by) {
    const { lesions } = this.data;
    if (!lesions.length) return;
    this.lesion = (this.lesion + by + lesions.length) % lesions.length;
    for (const nv of this.nvs) volumes.goTo(nv, lesions[this.lesion].place);
    this.say();
  }

  listen() {
    const click = (which, act) => { this.find(which).onclick = act; };
    click(".difference", () => this.toggleDifference());
    click(".blink", () => this.toggleBlink());
    click(".next-lesion", () => this.next(1));
    this.find(".window").onchange = (e) => { this.preset = e.target.value; this.applyWindow(); };
    this.find(".opacity").oninput = (e) => { this.opacity = e.target.value / 100; this.applyMasks(); };
    for (const canvas of this.root.querySelectorAll("canvas")) canvas.addEventListener("pointerdown", () => canvas.focus());
    const menu = this.find(".window");
    const slide = (by) => {
      const slider = this.find(".opacity");
      slider.value = Number(slider.value) + by;
      slider.dispatchEvent(new Event("input"));
    };
    const keys = {
      d: () => this.toggleDifference(), b: () => this.toggleBlink(), n: () => this.next(1), N: () => this.next(-1),
      "-": () => slide(-10), "=": () => slide(10),
      m: () => { this.shown = !this.shown; this.applyMasks(); },
      w: () => { menu.selectedIndex = (menu.selectedIndex + 1) % menu.options.length; menu.dispatchEvent(new Event("change")); },
    };
    this.find(".pair").addEventListener("keyup", (event) => event.stopPropagation(), { capture: true });
    this.find(".pair").addEventListener("keydown", (event) => {
      event.stopPropagation(); // Streamlit has keys of its own, and NiiVue on its canvas
      if (event.composedPath()[0].matches?.("select") || event.ctrlKey || event.metaKey) return;
      const act = keys[event.key];
      if (act) { event.preventDefault(); act(); }
    }, { capture: true });
  }

  end() {
    clearInterval(this.blinking);
    for (const nv of this.nvs ?? []) volumes?.loseContext(nv);
  }
}

export default function ({ data, parentElement }) {
  const known = pairs.get(parentElement);
  if (known && nameOf(known.data) === nameOf(data)) return;
  known?.end();
  const pair = new Pair(parentElement, data);
  pairs.set(parentElement, pair);
  pair.start().catch((error) => {
    parentElement.querySelector(".note").textContent = `The scans could not be shown: ${error.message}`;
  });
  return () => {
    pairs.get(parentElement)?.end();
    pairs.delete(parentElement);
  };
}
