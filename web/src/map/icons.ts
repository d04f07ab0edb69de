/** Icons drawn once per (kind, status, size) on a canvas and kept: the map only stamps them. Icons never give way, labels do. */

import Icon from "ol/style/Icon";
import type { MapTheme } from "./theme";
import { FONT } from "./theme";

/** Glyphs in a 24 x 24 box, drawn by us. */
const GLYPHS: Record<string, string> = {
  camera: "M4 9h10a1 1 0 0 1 1 1v6a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1v-6a1 1 0 0 1 1-1zM16 12l5-3v8l-5-3z",
  water_gauge: "M7 3h2v11H7zM9 4h4v1.6H9zM9 7.6h3v1.6H9zM9 11.2h4v1.6H9zM3 17c2-2 4-2 6 0s4 2 6 0 4-2 6 0v2c-2-2-4-2-6 0s-4 2-6 0-4-2-6 0z",
  rain_wind_station: "M7 12a4 4 0 0 1 .6-7.9A5 5 0 0 1 17 6a3.2 3.2 0 0 1 0 6zM8 14h1.8l-1.4 5H6.6zM12 14h1.8l-1.4 5h-1.8zM16 14h1.8l-1.4 5h-1.8z",
  air_station: "M3 8h10a2 2 0 1 0-2-2H9a4 4 0 1 1 4 4H3zM3 12h14a3 3 0 1 1-3 3h2a1 1 0 1 0 1-1H3zM3 16h7a2.5 2.5 0 1 1-2.5 2.5h2A.5.5 0 1 0 10 18H3z",
  gas_detector: "M10 3h4v1.6h-.8V9l5 8.6A2.2 2.2 0 0 1 16.300 21H7.700a2.2 2.2 0 0 1-1.900-3.400L10.800 9V4.600H10zM9.300 15h5.400l-1.700-3h-2z",
  canary: "M12 4a8 8 0 1 1 0 16 8 8 0 0 1 0-16zm-1 4v5h5v-2h-3V8z",
  shelter: "M12 4 3 11h2.500v8h5v-5h3v5h5v-8H21z",
  station: "M5 4h2v16H5zM8 5h11l-3 4 3 4H8z",
  underpass: "M3 6h18v3h-3v9h-3v-7a3 3 0 0 0-6 0v7H6V9H3z",
  bridge: "M2 10h20v2.400h-2V17h-2v-4.600h-3V17h-2v-4.600h-2V17H9v-4.600H6V17H4v-4.600H2zM4 8c5-5 11-5 16 0z",
};

const UNIT_WORDS: Record<string, { zh: string; en: string }> = {
  fire: { zh: "消", en: "F" },
  hazmat: { zh: "化", en: "H" },
  flood: { zh: "抢", en: "W" },
  medical: { zh: "医", en: "M" },
  police: { zh: "警", en: "P" },
  patrol: { zh: "巡", en: "R" },
};

const cache = new Map<string, Icon>();
const RATIO = 2; // drawn at twice the size: sharp on dense screens and when the wall scales

function draw(key: string, size: number, paint: (context: CanvasRenderingContext2D) => void): Icon {
  const known = cache.get(key);
  if (known !== undefined) return known;
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = size * RATIO;
  const context = canvas.getContext("2d");
  if (context === null) throw new Error("this browser gives no 2D canvas");
  context.scale(RATIO, RATIO);
  paint(context);
  const icon = new Icon({ img: canvas, scale: 1 / RATIO, declutterMode: "none" });
  cache.set(key, icon);
  return icon;
}

/** A device: a quiet tile. Offline fades, no data has a broken frame with a bar through it. */
export function deviceIcon(theme: MapTheme, kind: string, status: string, size: number): Icon {
  return draw(`${theme.tile}|${kind}|${status}|${size}`, size, (context) => {
    const live = status === "online";
    context.globalAlpha = live ? 1 : status === "offline" ? 0.55 : 0.9;
    context.beginPath();
    context.roundRect?.(1, 1, size - 2, size - 2, size * 0.22);
    if (context.roundRect === undefined) context.rect(1, 1, size - 2, size - 2);
    context.fillStyle = theme.tile;
    context.fill();
    context.lineWidth = 1.4;
    context.strokeStyle = theme.tileLine;
    context.setLineDash(live ? [] : [3, 2.4]);
    context.stroke();
    context.setLineDash([]);
    glyph(context, kind, size, live ? theme.glyph : theme.tileLine);
    if (status === "no_data" || status === "offline") {
      context.beginPath();
      context.moveTo(size * 0.2, size * 0.8);
      context.lineTo(size * 0.8, size * 0.2);
      context.strokeStyle = theme.glyph;
      context.lineWidth = 1.8;
      context.stroke();
    }
  });
}

/** A bare glyph for a fixed place: shelter, station, underpass, bridge. */
export function placeIcon(theme: MapTheme, kind: string, size: number): Icon {
  return draw(`place|${theme.label}|${kind}|${size}`, size, (context) => glyph(context, kind, size, theme.labelDim));
}

/** A unit: a disc with its word, and a nose that points where it goes. `heading` in degrees from north, rounded to 15. */
export function unitIcon(theme: MapTheme, lang: "zh" | "en", kind: string, busy: boolean, heading: number | null, size: number): Icon {
  const step = heading === null ? null : (Math.round(heading / 15) * 15) % 360;
  return draw(`unit|${theme.unit}|${lang}|${kind}|${busy}|${step}|${size}`, size, (context) => {
    const [middle, radius] = [size / 2, size * 0.33];
    context.fillStyle = busy ? theme.busy : theme.unit;
    context.strokeStyle = theme.halo;
    context.lineWidth = 1.6;
    if (step !== null) {
      context.save();
      context.translate(middle, middle);
      context.rotate((step * Math.PI) / 180);
      context.beginPath();
      context.moveTo(0, -size * 0.49);
      context.lineTo(size * 0.17, -radius * 0.82);
      context.lineTo(-size * 0.17, -radius * 0.82);
      context.closePath();
      context.fill();
      context.restore();
    }
    context.beginPath();
    context.arc(middle, middle, radius, 0, 2 * Math.PI);
    context.fill();
    context.stroke();
    context.fillStyle = busy ? theme.busyInk : theme.unitInk;
    context.font = `700 ${size * 0.38}px ${FONT}`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillText(UNIT_WORDS[kind]?.[lang] ?? (lang === "zh" ? "队" : "U"), middle, middle + size * 0.025);
  });
}

/** A closed road: a white bar in a dark disc, as on the road itself but without a warning hue. */
export function closureIcon(theme: MapTheme, size: number): Icon {
  return draw(`closure|${theme.closure}|${size}`, size, (context) => {
    const middle = size / 2;
    context.beginPath();
    context.arc(middle, middle, size * 0.44, 0, 2 * Math.PI);
    context.fillStyle = theme.closureInk;
    context.fill();
    context.lineWidth = size * 0.09;
    context.strokeStyle = theme.closure;
    context.stroke();
    context.fillStyle = theme.closure;
    context.fillRect(size * 0.24, size * 0.42, size * 0.52, size * 0.16);
  });
}

/** The typhoon sign: an eye with two arms (northern hemisphere, turning against the clock). */
export function stormIcon(theme: MapTheme, size: number): Icon {
  return draw(`storm|${theme.storm}|${size}`, size, (context) => {
    context.translate(size / 2, size / 2);
    context.fillStyle = context.strokeStyle = theme.storm;
    for (const turn of [0, Math.PI]) {
      context.save();
      context.rotate(turn);
      context.beginPath();
      context.moveTo(size * 0.2, 0);
      context.quadraticCurveTo(size * 0.22, -size * 0.4, -size * 0.16, -size * 0.47);
      context.quadraticCurveTo(size * 0.02, -size * 0.32, -size * 0.12, -size * 0.17);
      context.fill();
      context.restore();
    }
    context.lineWidth = size * 0.12;
    context.beginPath();
    context.arc(0, 0, size * 0.17, 0, 2 * Math.PI);
    context.stroke();
  });
}

function glyph(context: CanvasRenderingContext2D, kind: string, size: number, colour: string): void {
  const path = GLYPHS[kind];
  if (path === undefined) return;
  context.save();
  const scale = (size * 0.76) / 24;
  context.translate(size * 0.12, size * 0.12);
  context.scale(scale, scale);
  context.fillStyle = colour;
  context.fill(new Path2D(path), "evenodd");
  context.restore();
}
