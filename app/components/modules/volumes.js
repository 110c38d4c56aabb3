// What the viewer and the editor share: volumes over the board's own route, windows, where the crosshair is.

// Fixed windows in Hounsfield units, for CT alone; the others are relative to the scan's own range.
const HOUNSFIELD = {
  "soft tissue": [-160, 240],
  brain: [0, 80],
  bone: [-500, 1300],
  lung: [-1350, 150],
};

const PRESETS = {
  auto: ([low, high]) => [low, high],
  narrow: ([low, high]) => [low + 0.25 * (high - low), low + 0.75 * (high - low)],
  wide: ([low, high]) => [low - 0.25 * (high - low), high + 0.5 * (high - low)],
  "bright lesion": ([low, high]) => [low + 0.35 * (high - low), high],
};

export const presetsOf = (sequence) => [
  ...Object.keys(PRESETS),
  ...(sequence === "ct" ? Object.keys(HOUNSFIELD) : []),
];

export const rangeOf = (preset, window) => HOUNSFIELD[preset] ?? PRESETS[preset](window);

export async function fetchVolume(data, sha256, name, kind = "volume") {
  const answer = await fetch(`${location.origin}/api/${kind}/${sha256}`, {
    headers: { [data.header]: data.token },
  });
  if (!answer.ok) throw new Error(`${name}: ${await answer.text()}`);
  return { url: URL.createObjectURL(await answer.blob()), name: `${name}.nii.gz` };
}

// Linked planes in radiological convention, with R, L, A, P letters.
export async function newPlanes(canvas, onLocationChange) {
  const { Niivue, NVImage, SHOW_RENDER } = await import(`${location.origin}/assets/niivue.js`);
  const nv = new Niivue({
    backColor: [0, 0, 0, 1],
    crosshairColor: [0.35, 0.75, 1, 0.7],
    crosshairWidth: 0.6,
    crosshairWidthUnit: "mm",
    multiplanarLayout: 2, // a grid
    isRadiologicalConvention: true,
    isOrientationTextVisible: true,
    multiplanarShowRender: SHOW_RENDER.NEVER,
    isResizeCanvas: true,
    onLocationChange,
  });
  await nv.attachToCanvas(canvas);
  nv.setRadiologicalConvention(true);
  nv.setSliceType(nv.sliceTypeMultiplanar);
  return { nv, NVImage };
}

export function goTo(nv, place) {
  nv.scene.crosshairPos = nv.mm2frac(place, 0, true); // true also where the volume is oblique
  nv.createOnLocationChange();
  nv.drawScene();
}

export const placeOf = (nv) => Array.from(nv.frac2mm(nv.scene.crosshairPos, 0, true)).slice(0, 3);

export function legendOf(legend) {
  return legend.map(({ name, color }) => {
    const entry = document.createElement("span");
    const swatch = document.createElement("i");
    swatch.style.background = color;
    entry.append(swatch, name);
    return entry;
  });
}

export const loseContext = (nv) => nv?.gl.getExtension("WEBGL_lose_context")?.loseContext();
