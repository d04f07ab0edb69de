/** Geometry of a typhoon on the map: quadrant wind circles and great-circle distance. */

import type { Quadrants } from "../core/types";

const EARTH_KM = 6371.0088; // IUGG mean radius
const RAD = Math.PI / 180;

export function distanceKm(lon1: number, lat1: number, lon2: number, lat2: number): number {
  const a =
    Math.sin(((lat2 - lat1) * RAD) / 2) ** 2 +
    Math.cos(lat1 * RAD) * Math.cos(lat2 * RAD) * Math.sin(((lon2 - lon1) * RAD) / 2) ** 2;
  return 2 * EARTH_KM * Math.asin(Math.min(1, Math.sqrt(a)));
}

function destination(lon: number, lat: number, bearingDeg: number, km: number): [number, number] {
  const [d, b, phi] = [km / EARTH_KM, bearingDeg * RAD, lat * RAD];
  const lat2 = Math.asin(Math.sin(phi) * Math.cos(d) + Math.cos(phi) * Math.sin(d) * Math.cos(b));
  const lon2 = lon * RAD + Math.atan2(Math.sin(b) * Math.sin(d) * Math.cos(phi), Math.cos(d) - Math.sin(phi) * Math.sin(lat2));
  return [lon2 / RAD, lat2 / RAD];
}

/** Ring of a wind circle; radii in km for the quadrants NE, SE, SW, NW. Null without a radius. */
export function windRing(lon: number, lat: number, radii: Quadrants | undefined): [number, number][] | null {
  if (radii === null || radii === undefined || !radii.some((radius) => radius > 0)) return null;
  const ring: [number, number][] = [];
  for (let quadrant = 0; quadrant < 4; quadrant += 1) {
    const km = radii[quadrant] ?? radii[0] ?? 0;
    for (let step = 0; step <= 12; step += 1) ring.push(destination(lon, lat, quadrant * 90 + step * 7.5, km));
  }
  ring.push(ring[0] as [number, number]);
  return ring;
}

export function circle(lon: number, lat: number, km: number): [number, number][] {
  return Array.from({ length: 73 }, (_, step) => destination(lon, lat, step * 5, km));
}

/** Word of the intensity by two-minute mean wind, GB/T 19201-2006. */
export function category(windMs: number | null): "td" | "ts" | "sts" | "ty" | "sty" | "super" | null {
  if (windMs === null) return null;
  if (windMs >= 51) return "super";
  if (windMs >= 41.5) return "sty";
  if (windMs >= 32.7) return "ty";
  if (windMs >= 24.5) return "sts";
  if (windMs >= 17.2) return "ts";
  return "td";
}
