// One editor per mounted element; a rerun of the page never touches edits that are not saved.
const editors = new WeakMap();
const MODULES = ["labelmap", "drafts", "volumes", "measures"];
const ATTENTION_S = 60; // without a move of the mouse for longer nobody is looking
const EDITING_S = 5;
const DRAFT_MS = 400;

const TOOLS = [
  ["look", "x", "Look", "Click moves the crosshair; nothing is edited (X or Esc)"],
  ["brush", "b", "Brush", "Paint the label (B)"],
  ["erase", "e", "Eraser", "Erase any label (E)"],
  ["like", "t", "Like brush", "Paint only what is as bright as where the stroke begins (T)"],
  ["fill", "f", "Fill", "Fill a closed outline of the label in this plane (F)"],
  ["measure", "d", "Measure", "Draw a distance, or pull an end of a diameter (D)"],
  ["click", "c", "Click", "Find a lesion from clicks: inside it; with Shift outside it (C)"],
];
const OPERATIONS = [
  ["grow", "g", "Grow", "By 1 mm in all directions"],
  ["shrink", "s", "Shrink", "By 1 mm from all sides"],
  ["smooth", "r", "Smooth", "Round ragged borders; the volume stays"],
  ["fill-holes", "f", "Fill holes", "Fill what is enclosed in 3-D"],
  ["remove-islands", "i", "Islands", "Drop pieces below 0.5 mL; the largest stays"],
  ["interpolate", "b", "Between", "Fill in slices between drawn ones, in the plane drawn last"],
];
const PLANES = ["sagittal", "coronal", "axial"];
const MORE_KEYS = [
  ["1 \u2026 9", "label"], ["[ and ]", "smaller and larger pen"], ["V", "pen as a ball (3-D) or a disk"],
  ["P", "over other labels or not"], ["Shift+click", "with Click: outside the lesion"],
  ["Enter", "done clicking"], ["Z, Ctrl+Z", "undo"], ["Y, Ctrl+Shift+Z", "redo"], ["Ctrl+S", "save a version"],
  ["M", "mask on and off"], ["\u2212 and =", "mask fainter and stronger"], ["{ and }", "like brush: less and more alike"], ["/", "comment"],
  ["Shift+M, Shift+T", "after a conflict: keep mine on top, take theirs"],
  ["Ctrl+Enter", "sign"], ["Ctrl+Shift+Enter", "request changes"], ["L", "measures on and off"], ["Delete", "the line touched last: a distance goes, diameters are found anew"], ["O", "outlines"], ["H", "map of doubt"], ["N", "next doubtful region"],
  ["G", "next sequence"], ["J", "next sequence beside it"], ["W", "next window"], ["R", "3-D panel"], ["Wheel, Up, Down", "slices"], ["PageUp, PageDown", "five slices"],
  ["Right drag", "window"], ["?", "these keys"],
];

// Drafts of this case, and of no other with the same patient's name: the mask before review is part of it.
const nameOf = ({ patient, day, before_review }) => `${patient}:${day}:${before_review}`;

class Editor {
  constructor(root, data, tell) {
    Object.assign(this, {
      root, data, tell, sequence: data.first, preset: "auto", opacity: 0.45, shown: true, outline: false, doubt: false,
      tool: "look", label: data.labels[0].value, ball: false, plane: 2, doubtful: -1, clicks: null, busy: false,
      viewed: 0, edited: 0, lastMove: Date.now(), lastEdit: 0, version: data.version, savedMark: null, failed: "",
    });
  }

  find(selector) { return this.root.querySelector(selector); }

  get name() { return nameOf(this.data); }

  get dirty() { return this.history && this.history.mark !== this.savedMark; }

  get measured() { return Boolean(this.measures?.dirty); }

  async start() {
    performance.mark("avatar-start");
    this.draw();
    const parts = await Promise.all(MODULES.map((m) => import(`${location.origin}/assets/${m}.js`)));
    Object.assign(this, { map: parts[0], drafts: parts[1], volumes: parts[2] });
    this.measures = new parts[3].Measures(this.find(".lines"), { changed: () => this.remeasured() });
    this.history = new this.map.History();
    this.savedMark = this.history.mark;
    Object.assign(this, await this.volumes.newPlanes(this.find("canvas"), (place) => this.say(place)));
    if (this.data.test) Object.assign(window, { avatarEditor: this, avatarViewer: this.nv });
    this.measures.host.nv = this.nv;
    const scene = this.nv.drawScene.bind(this.nv); // lines follow whatever moves the planes
    this.nv.drawScene = (...given) => { const done = scene(...given); this.measures.draw(); return done; };
    this.nv.setDrawColormap(this.data.colormap);
    this.arrange();
    this.masked = this.loadMask(); // while the image is on its way
    await this.show();
    if (this.data.start) this.volumes.goTo(this.nv, this.data.start);
    await this.recall();
    this.measure();
    this.listen();
    this.count();
    this.refresh();
    if (document.activeElement === document.body) this.find("canvas").focus({ preventScroll: true }); // keys work at once
  }

  // The latest version, in the editor's order of voxels.
  async loadMask() {
    const file = await this.volumes.fetchVolume(this.data, this.data.mask, "mask");
    const image = await this.NVImage.loadFromUrl({ url: file.url, name: file.name });
    URL.revokeObjectURL(file.url);
    this.image = image;
    this.dims = Array.from(image.dimsRAS.slice(1, 4));
    this.fileDims = Array.from(image.hdr.dims.slice(1, 4));
    this.grid = { dims: this.dims, spacing: Array.from(image.pixDimsRAS.slice(1, 4)) };
    this.labels = this.map.toRas(Uint8Array.from(image.img), image.permRAS, this.fileDims);
    this.version = this.data.version;
  }

  async show() {
    const { nv, data, volumes } = this;
    const wanted = this.sequence;
    this.find(".note").textContent = "Loading the scan";
    const kept = nv.volumes.length ? volumes.placeOf(nv) : null;
    const sequence = data.sequences.find((s) => s.name === wanted);
    this.offerPresets();
    const [low, high] = volumes.rangeOf(this.preset, sequence.window);
    // What is drawn lies on the first volume's grid: where the image has another, the mask's goes first.
    const wants = [[sequence.sha256, wanted, { colormap: "gray", cal_min: low, cal_max: high }]];
    if (!sequence.on_grid) wants.unshift([data.mask, "grid", { opacity: 0, cal_min: 0, cal_max: 255 }]);
    this.shownAt = wants.length - 1;
    if (this.doubt) wants.push([data.doubt.sha256, "doubt", { colormap: "inferno", cal_min: 15, cal_max: 100, opacity: 0.55 }]);
    const files = await Promise.all(wants.map(([sha256, name]) => volumes.fetchVolume(data, sha256, name)));
    if (this.sequence !== wanted) return;
    await nv.loadVolumes(files.map((file, n) => ({ ...file, ...wants[n][2] })));
    for (const file of files) URL.revokeObjectURL(file.url);
    performance.mark("avatar-image");
    await this.masked;
    nv.createEmptyDrawing();
    nv.drawBitmap = this.labels;
    nv.refreshDrawing(false);
    this.brightness = sequence.on_grid ? nv.volumes[0].img2RAS() : null;
    this.applyMask();
    if (kept) volumes.goTo(nv, kept);
    this.find(".note").textContent = "";
    performance.mark("avatar-overlay");
  }

  offerPresets() {
    const names = this.volumes.presetsOf(this.sequence);
    if (!names.includes(this.preset)) this.preset = "auto";
    const menu = this.find(".window");
    menu.replaceChildren(...names.map((name) => new Option(name, name)));
    menu.value = this.preset;
    this.find(".sequence").value = this.sequence;
  }

  applyWindow() {
    const shown = this.nv.volumes[this.shownAt];
    const { window } = this.data.sequences.find((s) => s.name === this.sequence);
    [shown.cal_min, shown.cal_max] = this.volumes.rangeOf(this.preset, window);
    this.find(".window").value = this.preset;
    this.nv.updateGLVolume();
  }

  applyMask() {
    const { nv } = this;
    const opacity = this.shown ? this.opacity : 0;
    nv.drawRimOpacity = this.outline ? opacity : -1;
    nv.setDrawOpacity(this.outline && opacity > 0 ? 0.01 : opacity);
    if (!this.companion) return;
    this.companion.drawRimOpacity = nv.drawRimOpacity;
    this.companion.setDrawOpacity(this.outline && opacity > 0 ? 0.01 : opacity);
  }

  // A second sequence beside the first, to look at: the same place, the same labels.
  async showBeside(name) {
    this.besides = name;
    this.find(".beside").value = name;
    this.find(".companion").hidden = !name;
    this.find(".work").classList.toggle("paired", Boolean(name));
    if (!name) return;
    if (!this.companion) {
      const { nv } = await this.volumes.newPlanes(this.find(".second"), () => {});
      nv.setSliceType(nv.sliceTypeAxial);
      nv.setDrawColormap(this.data.colormap);
      this.companion = nv;
    }
    const second = this.companion;
    const sequence = this.data.sequences.find((s) => s.name === name);
    const [low, high] = sequence.window;
    const wants = [[sequence.sha256, name, { colormap: "gray", cal_min: low, cal_max: high }]];
    if (!sequence.on_grid) wants.unshift([this.data.mask, "grid", { opacity: 0, cal_min: 0, cal_max: 255 }]);
    const files = await Promise.all(wants.map(([sha256, what]) => this.volumes.fetchVolume(this.data, sha256, what)));
    if (this.besides !== name) return;
    await second.loadVolumes(files.map((file, n) => ({ ...file, ...wants[n][2] })));
    for (const file of files) URL.revokeObjectURL(file.url);
    second.createEmptyDrawing();
    second.drawBitmap = this.labels;
    second.refreshDrawing(false);
    const together = { "2d": true, "3d": false, crosshair: true, sliceType: false, zoomPan: false };
    this.nv.broadcastTo([second], together);
    second.broadcastTo([this.nv], together);
    this.applyMask();
    this.volumes.goTo(second, this.volumes.placeOf(this.nv));
    this.shownBeside = name;
  }

  say(place) {
    if (!this.labels || !this.nv?.volumes.length) return;
    const voxel = this.nv.frac2vox(place.frac);
    const label = this.labels[this.map.at(this.dims, voxel)];
    const named = this.data.labels.find((l) => l.value === label);
    const [x, y, z] = this.volumes.placeOf(this.nv);
    this.find(".where").textContent = `RAS ${x.toFixed(0)}, ${y.toFixed(0)}, ${z.toFixed(0)} mm${named ? `, ${named.name}` : ""}`;
  }

  // --- what is on the page -------------------------------------------------------------------------------

  draw() {
    const { data } = this;
    for (const stage of this.root.querySelectorAll(".stage")) stage.style.height = `${data.height}px`;
    this.find(".side").style.maxHeight = `${data.height}px`;
    this.find(".sequence").replaceChildren(...data.sequences.map((s) => new Option(s.name.toUpperCase(), s.name)));
    this.find(".beside").replaceChildren(
      new Option("none", ""), ...data.sequences.map((s) => new Option(s.name.toUpperCase(), s.name)));
    const button = (inside, attributes, act) => {
      const made = document.createElement("button");
      made.type = "button";
      for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
      made.append(...inside);
      made.onclick = act;
      return made;
    };
    const kbd = (key) => Object.assign(document.createElement("kbd"), { textContent: key.toUpperCase() });
    this.find(".rail").replaceChildren(
      ...TOOLS.map(([name, key, title, help]) =>
        button([title, kbd(key)], { role: "radio", "data-tool": name, title: help }, () => this.choose(name))),
      button(["Ball", kbd("v")], { class: "ball toggle", "aria-pressed": "false", title: "The pen is a ball (3-D) instead of a disk in the plane (V)" }, () => this.toggleBall()),
    );
    this.find(".labels").replaceChildren(
      ...data.labels.map(({ value, name, color }, n) => {
        const swatch = document.createElement("i");
        swatch.style.background = color;
        return button([swatch, name, kbd(String(n + 1))], { role: "radio", "data-label": value, title: `${name} (${n + 1})` }, () => this.chooseLabel(value));
      }),
    );
    this.find(".operations").replaceChildren(
      ...OPERATIONS.map(([name, key, title, help]) =>
        button([title], { "data-operation": name, title: `${help}. On the whole label (Shift+${key.toUpperCase()}).` }, () => this.operate(name))),
    );
    this.find(".keys").replaceChildren(
      ...[...TOOLS.map(([, key, title]) => [key.toUpperCase(), title]), ...OPERATIONS.map(([, key, title]) => [`Shift+${key.toUpperCase()}`, `${title}, the whole label`]), ...MORE_KEYS].map(([key, what]) => {
        const line = document.createElement("div");
        line.append(what[0].toUpperCase() + what.slice(1), Object.assign(document.createElement("kbd"), { textContent: key }));
        return line;
      }),
    );
  }

  // Everything on the page that follows from the state.
  refresh() {
    const { data, dirty } = this;
    for (const tool of this.root.querySelectorAll("[data-tool]")) tool.setAttribute("aria-checked", String(tool.dataset.tool === this.tool));
    for (const label of this.root.querySelectorAll("[data-label]")) label.setAttribute("aria-checked", String(Number(label.dataset.label) === this.label));
    const pressed = { ".outline": this.outline, ".doubt": this.doubt, ".ball": this.ball, ".render": this.rendered };
    for (const [which, on] of Object.entries(pressed)) this.find(which).setAttribute("aria-pressed", String(Boolean(on)));
    for (const which of [".doubt", ".next-doubt"]) {
      this.find(which).disabled = !data.doubt;
      if (!data.doubt) this.find(which).title = "Only one opinion on this mask: no map of doubt";
    }
    this.find(".stage").classList.toggle("draws", this.tool !== "look");
    const measuring = this.tool === "measure";
    this.find(".undo").disabled = !(measuring ? this.measures.past : this.history?.done)?.length;
    this.find(".redo").disabled = measuring || !this.history?.undone.length;
    this.find(".mm").textContent = `${this.find(".size").value} mm`;
    this.find(".percent").textContent = `\u00b1${this.find(".like").value} %`;
    for (const act of this.root.querySelectorAll("[data-operation]")) act.disabled = this.busy;
    const named = Boolean(data.reader);
    const who = named ? "" : "Say who you are above first. ";
    const enable = (which, on, why) => {
      const made = this.find(which);
      made.disabled = !on;
      made.dataset.help ??= made.title;
      made.title = on ? made.dataset.help : who || why;
    };
    enable(".save", named && dirty && !this.busy, "Nothing is changed");
    enable(".keep", named && this.measured && !this.busy, "No line was drawn or moved");
    if (this.conflict) this.find(".mine").hidden = !dirty;
    const settled = !dirty && !this.measured && !this.busy && !this.conflict;
    const first = this.conflict ? "Somebody else was faster: say above what is to be kept" : dirty ? "Save your edits first, or undo them" : "Keep your measures first, or undo them";
    enable(".changes", named && settled, first);
    enable(".sign", named && settled && !data.signed, data.signed ? "This version is signed" : first);
    this.find(".measured-of").textContent = dirty ? `of version ${this.version}, before your edits` : "";
    this.find(".lesions").classList.toggle("stale", Boolean(dirty));
    const state = this.find(".state");
    state.classList.toggle("unsaved", Boolean(dirty || this.measured) && !this.failed);
    state.classList.toggle("failed", Boolean(this.failed));
    state.textContent = this.failed || (dirty ? `Unsaved edits on version ${this.version}, kept in this browser` : this.measured ? "Measures not kept yet, but in this browser" : `Version ${this.version}${data.signed ? ", signed" : ""}`);
    this.find(".save").textContent = `Save as version ${this.version + 1}`;
    this.find(".sign").textContent = `Sign version ${this.version}`;
  }

  count() {
    const voxels = new Uint32Array(256);
    for (const value of this.labels) voxels[value]++;
    const [dx, dy, dz] = this.grid.spacing;
    this.find(".count").replaceChildren(
      ...this.data.labels.map(({ value, abbreviation }) =>
        Object.assign(document.createElement("div"), { textContent: `${abbreviation} ${((voxels[value] * dx * dy * dz) / 1000).toFixed(1)} mL` })),
    );
  }

  // The server measures the version that was saved last; nobody waits for it to draw.
  async measure() {
    const known = `${this.data.mask} ${this.data.readings}`;
    this.find(".lesions").textContent = "Measuring the lesions";
    try {
      this.measures.load(await (await this.ask("GET", "measures")).json());
      this.measuredOf = known;
      const drawn = await this.drafts.findDraft(`${this.name}:measures`).catch(() => null);
      if (drawn) {
        this.measures.past.push(JSON.stringify(this.measures.lines));
        if (drawn.readings === this.measures.readings) this.measures.lines = drawn.lines;
        else {
          this.measures.putOver(drawn.lines);
          this.failed = "Somebody has measured since: your lines that were not kept lie on top of theirs; Undo drops them";
        }
      }
      this.measures.draw();
      this.list();
      this.refresh();
    } catch (error) {
      this.find(".lesions").textContent = `Not measured: ${error.message}`;
    }
  }

  // What was measured, found or by hand; a click goes there.
  list() {
    const rows = this.measures?.found ? this.measures.rows() : [];
    this.find(".lesions").replaceChildren(...rows.map(({ name, text, place, by_hand, more }) => {
      const line = document.createElement("button");
      Object.assign(line, { type: "button", title: `Go to ${name}${more}`, className: by_hand ? "hand" : "" });
      line.append(Object.assign(document.createElement("b"), { textContent: name }), ` ${text}`);
      line.onclick = () => { this.measures.touched = name; this.volumes.goTo(this.nv, place); };
      return line;
    }));
    if (!rows.length) this.find(".lesions").textContent = "No lesion in the mask that was saved last";
  }

  remeasured() {
    this.lastEdit = Date.now();
    this.failed = "";
    this.list();
    this.refresh();
    clearTimeout(this.drafting);
    this.drafting = setTimeout(() => this.draft(), DRAFT_MS);
  }

  toggleMeasures() {
    this.measures.shown = !this.measures.shown;
    this.measures.draw();
  }

  // --- tools ---------------------------------------------------------------------------------------------

  choose(tool) {
    this.tool = tool;
    this.clicks = null;
    this.find(".pen").style.display = "none";
    const hints = { click: "Click inside the lesion; Shift+click outside it", measure: "Draw a distance or pull an end; Delete takes it away" };
    this.hint(hints[tool] ?? "");
    this.refresh();
  }

  chooseLabel(value) {
    this.label = value;
    this.clicks = null;
    this.refresh();
  }

  toggleBall() { this.ball = !this.ball; this.refresh(); }

  hint(words) { if (words) this.find(".where").textContent = words; }

  takes() {
    const over = this.find(".over").checked;
    return over ? () => true : (old) => old === 0 || old === this.label;
  }

  // The voxel under the mouse and the plane it is seen in; null beside the planes.
  under(event) {
    const { nv } = this;
    const box = this.find("canvas").getBoundingClientRect();
    const scale = nv.uiData.dpr || 1;
    const [x, y] = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
    const tile = nv.tileIndex(x, y);
    if (tile < 0 || nv.screenSlices[tile].axCorSag > 2) return null;
    const frac = nv.screenXY2TextureFrac(x, y, tile, false);
    if (!frac || frac[0] < 0 || frac.some((v) => v < 0 || v > 1)) return null;
    return { voxel: Array.from(nv.frac2vox(frac)), plane: 2 - nv.screenSlices[tile].axCorSag, frac, tile };
  }

  // A place under the mouse in the patient, RAS mm, and on the stage, CSS pixels.
  mm(place) { return Array.from(this.nv.frac2mm(place.frac, 0, true)).slice(0, 3); }

  spot(event) {
    const box = this.find("canvas").getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  press(event) {
    if (event.button !== 0 || this.tool === "look" || this.busy || !this.labels) return;
    const place = this.under(event);
    if (!place) return;
    event.stopPropagation();
    event.preventDefault();
    this.find("canvas").focus();
    this.plane = place.plane;
    if (this.tool === "click") { this.click(place, event.shiftKey); return; }
    if (this.tool === "measure" && !this.measures.found) { this.hint("The lesions are still being measured"); return; }
    if (this.tool === "measure") { this.measures.press(this.mm(place), this.spot(event)); this.pulling = place.plane; return; }
    const edit = new this.map.Edit(this.labels, this.dims);
    if (this.tool === "fill") {
      const closed = this.map.fill(edit, place.voxel, place.plane, this.label, this.takes());
      if (!closed) this.warn("Nothing filled: the outline is open in this plane, or the click is on the label itself");
      this.keep(edit.finished());
      return;
    }
    this.stroke = { edit, plane: place.plane, last: place.voxel, ...this.pen(place) };
    this.extend(place.voxel);
  }

  // Shape, value and condition of a stroke that begins here.
  pen(place) {
    const radius = Number(this.find(".size").value) / 2;
    const offsets = this.map.footprint(this.grid, radius, this.ball ? null : place.plane);
    if (this.tool === "erase") return { offsets, value: 0, takes: () => true };
    const free = this.takes();
    if (this.tool !== "like") return { offsets, value: this.label, takes: free };
    if (!this.brightness) {
      this.warn("The like brush needs a sequence on the mask's grid: choose another sequence");
      return { offsets: [], value: this.label, takes: free };
    }
    const { window } = this.data.sequences.find((s) => s.name === this.sequence);
    const { brightness } = this;
    const volume = this.nv.volumes[0];
    const slope = volume.hdr.scl_slope || 1;
    const begun = brightness[this.map.at(this.dims, place.voxel)];
    const reach = ((Number(this.find(".like").value) / 100) * (window[1] - window[0])) / slope;
    return { offsets, value: this.label, takes: (old, index) => free(old) && Math.abs(brightness[index] - begun) <= reach };
  }

  extend(voxel) {
    const { edit, offsets, value, takes, last } = this.stroke;
    for (const center of this.map.between(last, voxel)) this.map.stamp(edit, center, offsets, value, takes);
    this.stroke.last = voxel;
    this.lastEdit = Date.now();
    if (!this.drawing) this.drawing = requestAnimationFrame(() => this.paint());
  }

  // Only the box that a stroke touched goes to the graphics card.
  paint() {
    this.drawing = null;
    const { edit } = this.stroke ?? {};
    if (!edit || edit.high[0] < 0) return;
    const { nv, dims, labels } = this;
    const { gl } = nv;
    const size = edit.high.map((v, axis) => v - edit.low[axis] + 1);
    const unpack = { UNPACK_ALIGNMENT: 1, UNPACK_ROW_LENGTH: dims[0], UNPACK_IMAGE_HEIGHT: dims[1], UNPACK_SKIP_PIXELS: edit.low[0], UNPACK_SKIP_ROWS: edit.low[1], UNPACK_SKIP_IMAGES: edit.low[2] };
    gl.activeTexture(gl.TEXTURE7);
    gl.bindTexture(gl.TEXTURE_3D, nv.drawTexture);
    for (const [name, value] of Object.entries(unpack)) gl.pixelStorei(gl[name], value);
    gl.texSubImage3D(gl.TEXTURE_3D, 0, ...edit.low, ...size, gl.RED, gl.UNSIGNED_BYTE, labels);
    for (const name of Object.keys(unpack)) gl.pixelStorei(gl[name], name === "UNPACK_ALIGNMENT" ? 1 : 0);
    nv.drawScene();
  }

  move(event) {
    this.lastMove = Date.now();
    this.showPen(event);
    if (this.pulling !== undefined) {
      event.stopPropagation();
      const place = this.under(event);
      if (place && place.plane === this.pulling) this.measures.move(this.mm(place));
      return;
    }
    if (!this.stroke) return;
    event.stopPropagation();
    const place = this.under(event);
    if (place && place.plane === this.stroke.plane) this.extend(place.voxel);
  }

  release(event) {
    if (this.pulling !== undefined) {
      event?.stopPropagation();
      this.pulling = undefined;
      this.measures.release();
    }
    if (!this.stroke) return;
    event?.stopPropagation();
    const { edit } = this.stroke;
    this.stroke = null;
    this.keep(edit.finished());
  }

  showPen(event) {
    const pen = this.find(".pen");
    const place = ["brush", "erase", "like"].includes(this.tool) && this.nv?.volumes.length ? this.under(event) : null;
    pen.style.display = place ? "block" : "none";
    if (!place) return;
    const tile = this.nv.screenSlices[place.tile];
    const perMm = tile.leftTopWidthHeight[2] / tile.fovMM[0] / (this.nv.uiData.dpr || 1);
    const box = this.find(".stage").getBoundingClientRect();
    const size = Number(this.find(".size").value) * perMm;
    Object.assign(pen.style, { width: `${size}px`, height: `${size}px`, left: `${event.clientX - box.left}px`, top: `${event.clientY - box.top}px` });
  }

  // An edit that is done: to be undone, drafted and shown.
  keep(edit) {
    if (edit) {
      this.history.push(edit);
      this.lastEdit = Date.now();
      this.changed();
    }
    return edit;
  }

  changed() {
    this.failed = "";
    this.redraw();
    clearTimeout(this.drafting);
    this.drafting = setTimeout(() => this.draft(), DRAFT_MS);
  }

  undo() {
    if (this.tool === "measure") { this.measures.undo(); return; }
    if (!this.busy && !this.stroke && this.history.undo(this.labels)) { this.clicks = null; this.changed(); }
  }

  redo() { if (this.tool !== "measure" && !this.busy && !this.stroke && this.history.redo(this.labels)) { this.clicks = null; this.changed(); } }

  warn(words) {
    this.failed = words;
    this.refresh();
  }

  // --- what the server does ------------------------------------------------------------------------------

  async ask(method, path, { body, headers = {} } = {}) {
    const { data } = this;
    const answer = await fetch(`${location.origin}/api/review/${encodeURIComponent(data.patient)}/${data.day}/${path}`, {
      method, body, headers: { [data.header]: data.token, ...headers },
    });
    if (answer.ok || answer.status === 409) return answer;
    throw new Error(await answer.text());
  }

  async packedMask() {
    const native = this.map.toNative(this.labels, this.image.permRAS, this.fileDims);
    return new Response(new Blob([native]).stream().pipeThrough(new CompressionStream("gzip"))).blob();
  }

  headers(more) {
    return {
      "Content-Type": "application/gzip",
      "X-Avatar-Affine": JSON.stringify(this.image.hdr.affine.flat()),
      "X-Avatar-First": this.data.before_review,
      "X-Avatar-Reader": encodeURIComponent(this.data.reader),
      "X-Avatar-Spent": JSON.stringify([Math.round(this.viewed), Math.round(this.edited)]),
      "X-Avatar-Comment": encodeURIComponent(this.find(".comment").value),
      ...more,
    };
  }

  // While the server works nothing is edited; what goes wrong is said, and nothing is lost.
  async during(what, act) {
    if (this.busy) return;
    this.busy = true;
    this.failed = "";
    this.find(".note").textContent = what;
    this.refresh();
    try {
      await act();
    } catch (error) {
      const lost = error instanceof TypeError;
      this.failed = lost ? "No answer from the server: your edits are kept in this browser; try again" : error.message;
    } finally {
      this.busy = false;
      this.find(".note").textContent = "";
      this.refresh();
    }
  }

  async revised(name, options) {
    const query = new URLSearchParams({ label: this.label, over: this.find(".over").checked, ...options });
    const answer = await this.ask("POST", `operate/${name}?${query}`, { body: await this.packedMask(), headers: this.headers() });
    const bytes = await new Response((await answer.blob()).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
    const after = this.map.toRas(new Uint8Array(bytes), this.image.permRAS, this.fileDims);
    const edit = this.map.difference(this.labels, after);
    if (edit) this.labels.set(after);
    return this.keep(edit);
  }

  operate(name) {
    return this.during("Working on the label", async () => {
      const edit = await this.revised(name, { plane: PLANES[this.plane] });
      if (!edit) this.failed = "That changed nothing on this label";
    });
  }

  // Every click asks again with all clicks so far, in place of what the ones before had found.
  click(place, outside) {
    const mm = this.mm(place);
    const clicks = this.clicks ?? { inside: [], outside: [], edit: null };
    clicks[outside ? "outside" : "inside"].push(mm);
    this.clicks = clicks;
    if (!clicks.inside.length) { this.clicks = null; this.hint("Click inside the lesion first"); return; }
    this.during("Looking for the lesion", async () => {
      if (clicks.edit && this.history.done.at(-1) === clicks.edit) this.history.undo(this.labels);
      clicks.edit = await this.revised("click", { inside: JSON.stringify(clicks.inside), outside: JSON.stringify(clicks.outside) });
      this.changed();
      this.clicks = clicks;
      this.find(".where").textContent = `${clicks.inside.length} inside, ${clicks.outside.length} outside. Shift+click: outside. Enter: done`;
    });
  }

  save(base = this.version) {
    if (!this.dirty || !this.data.reader) return this.refresh();
    return this.during("Saving", async () => {
      const { mark } = this.history;
      const answer = await this.ask("PUT", "mask", { body: await this.packedMask(), headers: this.headers({ "X-Avatar-Base": String(base) }) });
      const told = await answer.json();
      if (answer.status === 409) { this.offer(told); return; }
      this.version = told.version;
      this.savedMark = mark;
      Object.assign(this, { viewed: 0, edited: 0 });
      this.find(".comment").value = "";
      clearTimeout(this.drafting);
      await this.drafts.dropDraft(this.name);
      this.tell("done", { act: "save", version: told.version });
    });
  }

  keepMeasures() {
    if (!this.measured || !this.data.reader) return this.refresh();
    return this.during("Keeping the measures", async () => {
      const body = JSON.stringify(this.measures.told());
      const headers = this.headers({ "Content-Type": "application/json", "X-Avatar-Readings": String(this.measures.readings) });
      const answer = await this.ask("POST", "measures", { body, headers });
      if (answer.status === 409) {
        await this.draft();
        this.failed = (await answer.json()).said;
        return;
      }
      this.measures.kept = JSON.stringify(this.measures.lines);
      this.measures.readings = (await answer.json()).readings;
      Object.assign(this, { viewed: 0, edited: 0 });
      await this.drafts.dropDraft(`${this.name}:measures`);
      this.tell("done", { act: "measure", version: this.version });
    });
  }

  async saveAll() {
    await this.save();
    await this.keepMeasures();
  }

  decide(decision) {
    return this.during("Writing the record", async () => {
      const answer = await this.ask("POST", "decision", { headers: this.headers({ "X-Avatar-Base": String(this.version), "X-Avatar-Readings": String(this.measures.readings ?? this.data.readings), "X-Avatar-Decision": decision }) });
      const told = await answer.json();
      if (answer.status === 409) { this.offer(told); return; }
      Object.assign(this, { viewed: 0, edited: 0 });
      this.find(".comment").value = "";
      this.tell("done", { act: decision, version: this.version });
    });
  }

  // Somebody else saved in the meantime.
  offer(told) {
    this.conflict = told;
    this.find(".said").textContent = `${told.said}.`;
    this.find(".mine").hidden = !this.dirty;
    this.find(".conflict").hidden = false;
  }

  async takeTheirs() {
    const { version, mask } = this.conflict;
    Object.assign(this.data, { version, mask });
    this.settle();
    await this.reload();
    this.tell("done", { act: "reload", version });
  }

  keepMine() {
    if (!this.dirty) return this.takeTheirs(); // undone since: nothing is mine any more
    const { version } = this.conflict;
    this.settle();
    return this.save(version);
  }

  settle() {
    this.data.before_review = this.conflict.before_review ?? this.data.before_review;
    this.conflict = null;
    this.find(".conflict").hidden = true;
  }

  async reload() {
    await this.during("Loading the mask", async () => {
      await this.loadMask();
      this.history.clear();
      this.savedMark = this.history.mark;
      await this.drafts.dropDraft(this.name);
      this.redraw();
    });
  }

  // All labels anew: on the graphics card, and counted.
  redraw() {
    this.nv.drawBitmap = this.labels;
    this.nv.refreshDrawing(true);
    if (this.companion?.volumes.length) {
      this.companion.drawBitmap = this.labels;
      this.companion.refreshDrawing(true);
    }
    this.count();
    this.refresh();
  }

  // --- edits that outlive the page -----------------------------------------------------------------------

  async draft() {
    try {
      const lines = `${this.name}:measures`;
      if (this.measured) await this.drafts.keepDraft(lines, { lines: this.measures.lines, readings: this.measures.readings });
      else await this.drafts.dropDraft(lines);
      if (!this.dirty) { await this.drafts.dropDraft(this.name); return; }
      await this.drafts.keepDraft(this.name, { base: this.version, runs: this.map.packed(this.labels), length: this.labels.length, at: Date.now(), by: this.data.reader });
      this.drafted = true;
    } catch (error) {
      this.warn(`This browser keeps no drafts (${error.message}): save often`);
    }
  }

  async recall() {
    const found = await this.drafts.findDraft(this.name).catch(() => null);
    if (!found || found.length !== this.labels.length) return;
    const kept = this.map.unpacked(found.runs, found.length);
    const edit = this.map.difference(this.labels, kept);
    if (!edit) return;
    this.labels.set(kept);
    this.history.push(edit);
    this.redraw();
    const when = new Date(found.at).toLocaleString();
    const whose = found.by ? `${found.by}'s unsaved edits` : "Unsaved edits";
    this.failed = `${whose} of ${when} are back; Undo drops them`;
    if (found.base !== this.version) {
      this.version = found.base;
      this.offer({ said: `Version ${this.data.version} was saved since your unsaved edits of ${when}, which stand on version ${found.base}`, version: this.data.version, mask: this.data.mask });
    }
  }

  // --- events --------------------------------------------------------------------------------------------

  listen() {
    const stage = this.find(".stage");
    this.quit = new AbortController();
    const { signal } = this.quit;
    const on = (where, what, act, options) => where.addEventListener(what, act, { signal, ...options });
    on(stage, "mousedown", (e) => this.press(e), { capture: true });
    on(stage, "mousemove", (e) => this.move(e), { capture: true });
    on(stage, "mouseleave", () => { this.find(".pen").style.display = "none"; });
    on(window, "mouseup", (e) => this.release(e), { capture: true });
    on(stage, "pointerdown", () => this.find("canvas").focus());
    on(stage, "wheel", () => { this.lastMove = Date.now(); }, { passive: true, capture: true });
    // Before they reach the canvas: NiiVue has keys of its own on it.
    on(this.find(".editor"), "keydown", (e) => this.key(e), { capture: true });
    on(this.find(".editor"), "keyup", (e) => e.stopPropagation(), { capture: true });
    on(this.find(".editor"), "change", (e) => { if (e.target.matches("select")) this.find("canvas").focus(); });
    on(document, "click", (e) => this.leave(e), { capture: true });
    on(window, "beforeunload", (e) => { if (this.dirty || this.measured) e.preventDefault(); });
    const click = (which, act) => { this.find(which).onclick = act; };
    click(".outline", () => { this.outline = !this.outline; this.applyMask(); this.refresh(); });
    click(".doubt", () => this.toggleDoubt());
    click(".next-doubt", () => this.nextDoubt());
    click(".render", () => this.toggleRender());
    click(".undo", () => this.undo());
    click(".redo", () => this.redo());
    click(".save", () => this.save());
    click(".keep", () => this.keepMeasures());
    click(".lines-toggle", () => this.toggleMeasures());
    click(".changes", () => this.decide("request changes"));
    click(".sign", () => this.decide("sign"));
    click(".mine", () => this.keepMine());
    click(".theirs", () => this.takeTheirs());
    click(".ask", () => this.find("dialog").showModal());
    click(".help .close", () => this.find("dialog").close());
    this.find(".sequence").onchange = (e) => { this.sequence = e.target.value; this.show(); };
    this.find(".beside").onchange = (e) => this.showBeside(e.target.value);
    this.find(".window").onchange = (e) => { this.preset = e.target.value; this.applyWindow(); };
    this.find(".opacity").oninput = (e) => { this.opacity = e.target.value / 100; this.applyMask(); };
    for (const which of [".size", ".like"]) this.find(which).oninput = () => this.refresh();
    this.clock = setInterval(() => this.tick(), 1000);
  }

  tick() {
    const now = Date.now();
    if (document.visibilityState !== "visible" || now - this.lastMove > 1000 * ATTENTION_S) return;
    this.viewed += 1;
    if (now - this.lastEdit < 1000 * EDITING_S) this.edited += 1;
  }

  toggleDoubt() {
    if (!this.data.doubt) return;
    this.doubt = !this.doubt;
    this.refresh();
    this.show();
  }

  nextDoubt() {
    const regions = this.data.doubt?.regions ?? [];
    if (!regions.length) { this.warn("No doubtful region: the opinions agree"); return; }
    this.doubtful = (this.doubtful + 1) % regions.length;
    const { place, ml } = regions[this.doubtful];
    this.volumes.goTo(this.nv, place);
    this.find(".where").textContent = `Doubtful region ${this.doubtful + 1} of ${regions.length}, ${ml.toFixed(1)} mL`;
  }

  toggleRender() {
    this.rendered = !this.rendered;
    this.arrange();
    this.refresh();
  }

  // The axial plane is large, the others lie beside it.
  arrange() {
    const { nv } = this;
    const beside = [nv.sliceTypeCoronal, nv.sliceTypeSagittal, ...(this.rendered ? [nv.sliceTypeRender] : [])];
    const height = 1 / beside.length;
    nv.setCustomLayout([
      { sliceType: nv.sliceTypeAxial, position: [0, 0, 0.62, 1] },
      ...beside.map((sliceType, n) => ({ sliceType, position: [0.62, n * height, 0.38, height] })),
    ]);
  }

  // Slices further along the plane that was touched last.
  turn(by) { this.nv.moveCrosshairInVox(...[0, 1, 2].map((axis) => (axis === this.plane ? by : 0))); }

  next(menu) {
    menu.selectedIndex = (menu.selectedIndex + 1) % menu.options.length;
    menu.dispatchEvent(new Event("change"));
  }

  // Another page of the board is left without the browser's own question.
  leave(event) {
    if (!this.dirty && !this.measured) return;
    if (!event.target.closest?.("a[href]") || event.composedPath().includes(this.root)) return;
    if (window.confirm("There are edits that are not saved. They are kept in this browser. Leave this case?")) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  }

  key(event) {
    event.stopPropagation(); // Streamlit has keys of its own
    if (this.stroke || this.pulling !== undefined) { event.preventDefault(); return; } // first the button goes up
    const key = event.key.toLowerCase();
    const command = event.ctrlKey || event.metaKey;
    const typing = event.composedPath()[0].matches?.("input[type=text], select") && !(command && ["s", "enter"].includes(key));
    if (typing || this.find("dialog").open) return;
    const shifted = event.shiftKey && (command || /^[a-z]$/.test(key)) ? `shift+${key}` : key;
    const act = (command ? this.commands() : this.keys())[shifted];
    if (!act) return;
    event.preventDefault();
    act();
  }

  commands() {
    return { z: () => this.undo(), y: () => this.redo(), "shift+z": () => this.redo(), s: () => this.saveAll(), enter: () => this.find(".sign").click(), "shift+enter": () => this.find(".changes").click() };
  }

  keys() {
    const pen = (by) => { this.find(".size").value = Number(this.find(".size").value) + by; this.refresh(); };
    const slide = (which, by) => {
      const slider = this.find(which);
      slider.value = Number(slider.value) + by;
      slider.dispatchEvent(new Event("input"));
    };
    const answer = (which) => { if (!this.find(".conflict").hidden) this.find(which).click(); };
    const operations = Object.fromEntries(OPERATIONS.map(([name, key]) => [`shift+${key}`, () => this.operate(name)]));
    const named = Object.fromEntries(TOOLS.map(([name, key]) => [key, () => this.choose(name)]));
    const labels = Object.fromEntries(this.data.labels.map(({ value }, n) => [String(n + 1), () => this.chooseLabel(value)]));
    return {
      ...named, ...labels, ...operations,
      "-": () => slide(".opacity", -10), "=": () => slide(".opacity", 10), "{": () => slide(".like", -3), "}": () => slide(".like", 3),
      "/": () => this.find(".comment").focus(),
      escape: () => this.choose("look"), enter: () => { this.clicks = null; this.hint("Done; the next click begins another lesion"); },
      v: () => this.toggleBall(), p: () => { this.find(".over").checked = !this.find(".over").checked; },
      arrowup: () => this.turn(1), arrowdown: () => this.turn(-1), pageup: () => this.turn(5), pagedown: () => this.turn(-5),
      "[": () => pen(-1), "]": () => pen(1), z: () => this.undo(), y: () => this.redo(),
      l: () => this.toggleMeasures(), delete: () => this.measures.remove(),
      m: () => { this.shown = !this.shown; this.applyMask(); }, o: () => this.find(".outline").click(),
      "shift+m": () => answer(".mine"), "shift+t": () => answer(".theirs"),
      h: () => this.toggleDoubt(), n: () => this.nextDoubt(), r: () => this.toggleRender(),
      g: () => this.next(this.find(".sequence")), w: () => this.next(this.find(".window")), j: () => this.next(this.find(".beside")), "?": () => this.find("dialog").showModal(),
    };
  }

  // The page was drawn again, perhaps with a newer version.
  follow(data) {
    this.data = { ...data };
    if (!this.history) return;
    if (!this.measured && this.measuredOf !== `${data.mask} ${data.readings}`) this.measure();
    if (data.version > this.version) {
      const said = `Version ${data.version} was saved since`;
      if (this.dirty) this.offer({ said: `${said}; your edits stand on version ${this.version}`, version: data.version, mask: data.mask });
      else this.reload();
    }
    this.refresh();
  }

  end() {
    this.quit?.abort();
    clearInterval(this.clock);
    clearTimeout(this.drafting);
    if (this.dirty || this.measured) this.draft();
    this.volumes?.loseContext(this.nv);
    this.volumes?.loseContext(this.companion);
  }
}

export default function ({ data, parentElement, setTriggerValue }) {
  const known = editors.get(parentElement);
  if (known && known.name === nameOf(data)) {
    known.tell = setTriggerValue;
    known.follow(data);
    return;
  }
  known?.end();
  const editor = new Editor(parentElement, data, setTriggerValue);
  editors.set(parentElement, editor);
  editor.start().catch((error) => {
    parentElement.querySelector(".note").textContent = `The editor could not start: ${error.message}`;
  });
  return () => {
    editors.get(parentElement)?.end();
    editors.delete(parentElement);
  };
}
