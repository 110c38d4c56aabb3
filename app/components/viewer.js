// One NiiVue instance per mounted element; a rerun of the page with the same data touches nothing.
const instances = new WeakMap();

let volumes; // the module that it shares with the editor

async function mount(root, data) {
  const find = (selector) => root.querySelector(selector);
  const note = find(".note");
  find(".stage").style.height = `${data.height}px`;
  const state = {
    data, sequence: data.first, preset: "auto", opacity: data.density ? 0 : 0.45, shown: true, frame: 0, cells: 0.7,
  };
  instances.set(root, state);
  const select = find(".sequence");
  select.replaceChildren(...data.sequences.map((s) => new Option(s.name.toUpperCase(), s.name)));
  select.value = data.first;
  try {
    volumes = await import(`${location.origin}/assets/volumes.js`);
    find(".legend").replaceChildren(...volumes.legendOf(data.legend));
    const { nv } = await volumes.newPlanes(find("canvas"), (place) => {
      if (state.nv?.volumes.length) find(".where").textContent = describe(state.nv, place, data);
    });
    state.nv = nv;
    await show(state, find);
    if (data.start) volumes.goTo(nv, data.start);
    if (data.test) window.avatarViewer = nv;
    offerTime(state, find);
  } catch (error) {
    note.textContent = `The viewer could not start: ${error.message}`;
    return;
  }
  select.onchange = () => { state.sequence = select.value; show(state, find); };
  find(".opacity").value = 100 * state.opacity;
  find(".window").onchange = (event) => { state.preset = event.target.value; applyWindow(state); };
  find(".opacity").oninput = (event) => { state.opacity = event.target.value / 100; applyMask(state); };
  find("canvas").addEventListener("pointerdown", () => find("canvas").focus());
  find("canvas").addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "," || event.key === ".") step(state, find, event.key === "." ? 1 : -1);
    if (event.key === "m") { state.shown = !state.shown; applyMask(state); }
    const chosen = state.data.sequences[Number(event.key) - 1];
    if (chosen) { select.value = chosen.name; state.sequence = chosen.name; show(state, find); }
  });
}

function describe(nv, place, data) {
  const [x, y, z] = volumes.placeOf(nv);
  const label = place.values && place.values[1] ? Math.round(place.values[1].value) : 0;
  const at = data.colormap.I.indexOf(label);
  const name = label > 0 && at > 0 ? `, ${data.colormap.labels[at]}` : "";
  return `RAS ${x.toFixed(0)}, ${y.toFixed(0)}, ${z.toFixed(0)} mm${name}`;
}

async function show(state, find) {
  const { nv, data } = state;
  const note = find(".note");
  const wanted = state.sequence;
  note.textContent = "Loading the scan";
  const kept = nv.volumes.length ? volumes.placeOf(nv) : null;
  const sequence = data.sequences.find((s) => s.name === wanted);
  offerPresets(state, find);
  const [low, high] = volumes.rangeOf(state.preset, sequence.window);
  const files = await Promise.all([
    volumes.fetchVolume(data, sequence.sha256, wanted),
    volumes.fetchVolume(data, data.mask, "mask"),
    ...(data.density ? [volumes.fetchVolume(data, data.density.name, "density", "density")] : []),
  ]);
  if (state.sequence !== wanted) return;
  const [image, mask, cells] = files;
  await nv.loadVolumes([
    { ...image, colormap: "gray", cal_min: low, cal_max: high },
    { ...mask, opacity: state.shown ? state.opacity : 0 },
    ...(cells ? [{ ...cells, ...density(state) }] : []),
  ]);
  nv.volumes[1].setColormapLabel(data.colormap);
  if (cells) nv.setFrame4D(nv.volumes[2].id, state.frame);
  nv.updateGLVolume();
  if (kept) nv.scene.crosshairPos = nv.mm2frac(kept, 0, true);
  nv.drawScene();
  for (const file of files) URL.revokeObjectURL(file.url);
  note.textContent = "";
}

// Bytes of the density are 50 a decade: 50 is a ten-thousandth of what a voxel can carry, 250 all of it.
function density(state) {
  return { colormap: "inferno", cal_min: 50, cal_max: 250, opacity: state.cells };
}

function offerTime(state, find) {
  const { density: series } = state.data;
  find(".time").hidden = find(".keys").hidden = !series;
  if (!series) return;
  const slider = find(".day");
  slider.max = series.days.length - 1;
  state.frame = Math.min(state.frame, series.days.length - 1);
  slider.value = state.frame;
  sayDay(state, find);
  slider.oninput = () => step(state, find, Number(slider.value) - state.frame);
  find(".cells").oninput = (event) => {
    state.cells = event.target.value / 100;
    if (state.nv.volumes.length > 2) state.nv.setOpacity(2, state.cells);
  };
  find(".play").onclick = () => {
    clearInterval(state.playing);
    if (state.playing) { state.playing = null; find(".play").textContent = "\u25b6"; return; }
    find(".play").textContent = "\u275a\u275a";
    state.playing = setInterval(() => {
      step(state, find, state.frame + 1 < series.days.length ? 1 : -state.frame);
    }, 350);
  };
}

function step(state, find, by) {
  const { density: series } = state.data;
  if (!series || state.nv.volumes.length < 3) return;
  state.frame = Math.max(0, Math.min(series.days.length - 1, state.frame + by));
  find(".day").value = state.frame;
  sayDay(state, find);
  state.nv.setFrame4D(state.nv.volumes[2].id, state.frame);
}

function sayDay(state, find) {
  const { days, title } = state.data.density;
  find(".dayname").textContent = `day ${Math.round(days[state.frame])} after the scan, ${title}`;
}

// Another density on the same scan: the picture, its place and its day stay.
async function exchangeDensity(root, state, data) {
  const find = (selector) => root.querySelector(selector);
  state.data = data;
  offerTime(state, find);
  const wanted = data.density.name;
  try {
    const cells = await volumes.fetchVolume(data, wanted, "density", "density");
    if (state.data.density.name !== wanted) return;
    const { nv } = state;
    if (nv.volumes.length > 2) nv.removeVolumeByIndex(2);
    await nv.addVolumeFromUrl({ ...cells, ...density(state) });
    nv.setFrame4D(nv.volumes[2].id, state.frame);
    URL.revokeObjectURL(cells.url);
  } catch (error) {
    find(".note").textContent = error.message;
  }
}

function offerPresets(state, find) {
  const names = volumes.presetsOf(state.sequence);
  if (!names.includes(state.preset)) state.preset = "auto";
  const menu = find(".window");
  menu.replaceChildren(...names.map((name) => new Option(name, name)));
  menu.value = state.preset;
}

function applyWindow(state) {
  const { nv, data } = state;
  const sequence = data.sequences.find((s) => s.name === state.sequence);
  [nv.volumes[0].cal_min, nv.volumes[0].cal_max] = volumes.rangeOf(state.preset, sequence.window);
  nv.updateGLVolume();
}

function applyMask(state) {
  if (state.nv.volumes.length > 1) state.nv.setOpacity(1, state.shown ? state.opacity : 0);
}

export default function ({ data, parentElement }) {
  const known = instances.get(parentElement);
  if (known && known.data.mask === data.mask && known.data.first === data.first) {
    if (data.density && known.nv?.volumes.length && known.data.density?.name !== data.density.name) {
      exchangeDensity(parentElement, known, data);
    }
    return;
  }
  if (known) volumes?.loseContext(known.nv);
  mount(parentElement, data);
  return () => {
    const gone = instances.get(parentElement);
    clearInterval(gone?.playing);
    instances.delete(parentElement);
    volumes?.loseContext(gone?.nv);
  };
}
