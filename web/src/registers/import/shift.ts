/**
 * Where a point probably is when the file's coordinate system was named wrongly: only for the picture before an import. What is
 * written is turned by the server (gis/crs.py); these are the same published formulas, good to a few metres.
 */

type Point = [number, number];

const A = 6378245.0;
const EE = 0.00669342162296594323;
const BD_PI = (Math.PI * 3000) / 180;
const STEPS = 6;

function offset([lon, lat]: Point): Point {
  const [x, y] = [lon - 105, lat - 35];
  const wave = (20 * Math.sin(6 * x * Math.PI) + 20 * Math.sin(2 * x * Math.PI)) * (2 / 3);
  const dLat = -100 + 2 * x + 3 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * Math.sqrt(Math.abs(x)) + wave + (20 * Math.sin(y * Math.PI) + 40 * Math.sin((y / 3) * Math.PI)) * (2 / 3) + (160 * Math.sin((y / 12) * Math.PI) + 320 * Math.sin((y * Math.PI) / 30)) * (2 / 3);
  const dLon = 300 + x + 2 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * Math.sqrt(Math.abs(x)) + wave + (20 * Math.sin(x * Math.PI) + 40 * Math.sin((x / 3) * Math.PI)) * (2 / 3) + (150 * Math.sin((x / 12) * Math.PI) + 300 * Math.sin((x / 30) * Math.PI)) * (2 / 3);
  const rad = (lat / 180) * Math.PI;
  const magic = 1 - EE * Math.sin(rad) ** 2;
  return [(dLon * 180) / ((A / Math.sqrt(magic)) * Math.cos(rad) * Math.PI), (dLat * 180) / (((A * (1 - EE)) / (magic * Math.sqrt(magic))) * Math.PI)];
}

export function toGcj02(point: Point): Point {
  const [dLon, dLat] = offset(point);
  return [point[0] + dLon, point[1] + dLat];
}

function gcj02ToBd09([lon, lat]: Point): Point {
  const z = Math.hypot(lon, lat) + 0.00002 * Math.sin(lat * BD_PI);
  const theta = Math.atan2(lat, lon) + 0.000003 * Math.cos(lon * BD_PI);
  return [z * Math.cos(theta) + 0.0065, z * Math.sin(theta) + 0.006];
}

/** Undoes `forward` by steps; five gain ten digits. */
function inverse(forward: (point: Point) => Point, [lon, lat]: Point): Point {
  let guess: Point = [lon, lat];
  for (let step = 0; step < STEPS; step += 1) {
    const [x, y] = forward(guess);
    guess = [guess[0] + lon - x, guess[1] + lat - y];
  }
  return guess;
}

const toBd09 = (point: Point): Point => gcj02ToBd09(toGcj02(point));
const asIs = (point: Point): Point => point;
const FROM_WGS84: Record<string, (point: Point) => Point> = { "EPSG:4326": asIs, "EPSG:4490": asIs, "GCJ-02": toGcj02, "BD-09": toBd09 };

/**
 * `shown` is where the server put the point, reading the file as `used`. The place where it is when the file is read as
 * `detected`; null where the two cannot be compared on a map (metres, swapped columns) or are the same.
 */
export function suspected(shown: Point, used: string, detected: string): Point | null {
  const [forward, back] = [FROM_WGS84[used], FROM_WGS84[detected]];
  if (forward === undefined || back === undefined || forward === back || used === detected) return null;
  return inverse(back, forward(shown));
}
