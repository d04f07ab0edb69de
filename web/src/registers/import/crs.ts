/** Coordinate systems that a district's files come in, in the words of the people who have the files. */

import type { Key } from "../../core/i18n";

/** The file may say it itself, or the server looks at where the points fall; the next step shows what it found. */
export const AUTO = "auto";

export const CRS_CHOICES: readonly { value: string; key: Key }[] = [
  { value: AUTO, key: "reg.crsAuto" },
  { value: "EPSG:4326", key: "reg.crsWgs84" },
  { value: "EPSG:4490", key: "reg.crsCgcs" },
  { value: "GCJ-02", key: "reg.crsGcj" },
  { value: "BD-09", key: "reg.crsBd" },
  { value: "EPSG:4549", key: "reg.crs4549" },
];

/** The key of a code's words; codes that a file itself names (another belt) have none and are shown as they are. */
export const crsKey = (code: string): Key | undefined => CRS_CHOICES.find((choice) => choice.value === code)?.key;
