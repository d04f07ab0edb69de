/** Pixels of one rem now: the wall scales all text by its viewport, and the map's own text and icons with it. */
export function remPx(): number {
  return Number.parseFloat(getComputedStyle(document.documentElement).fontSize) || 16;
}

/** `?scale=1.2` for a hall where people sit farther away (gis-live.md section 5.1); kept for the next start. */
export function applyScale(): void {
  const asked = new URLSearchParams(location.search).get("scale") ?? localStorage.getItem("citybrain.scale");
  const scale = Number(asked);
  if (!Number.isFinite(scale) || scale < 0.5 || scale > 3) return;
  localStorage.setItem("citybrain.scale", String(scale));
  document.documentElement.style.setProperty("--scale", String(scale));
}
