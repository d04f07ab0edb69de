/** Colours of the map. The four warning hues appear only on alarms; water is a grey blue far from the blue of a warning. */

export interface MapTheme {
  sea: string;
  land: string;
  district: string;
  districtLine: string;
  river: string;
  roadMain: string;
  road: string;
  roadCase: string;
  built: string;
  flat: string;
  hill: string;
  park: string;
  parkLine: string;
  label: string;
  labelDim: string;
  halo: string;
  tile: string;
  tileLine: string;
  glyph: string;
  unit: string;
  unitInk: string;
  busy: string;
  busyInk: string;
  closure: string;
  closureInk: string;
  storm: string;
}

export const DARK: MapTheme = {
  sea: "#0b1118",
  land: "#1a222d",
  district: "#212b38",
  districtLine: "#46556a",
  river: "#0f1b28",
  roadMain: "#78879b",
  road: "#4a586a",
  roadCase: "#141b24",
  built: "#283341",
  flat: "#182230",
  hill: "#1d2a2c",
  park: "rgba(150,140,175,0.14)",
  parkLine: "#8d83a8",
  label: "#c3ccd8",
  labelDim: "#8492a5",
  halo: "#10161e",
  tile: "#0f151d",
  tileLine: "#8b99ab",
  glyph: "#dfe5ec",
  unit: "#dfe5ec",
  unitInk: "#10151d",
  busy: "#c4b5fd",
  busyInk: "#1e1240",
  closure: "#ffffff",
  closureInk: "#10151d",
  storm: "#e8ecf2",
};

export const LIGHT: MapTheme = {
  sea: "#d4dde4",
  land: "#eef0ec",
  district: "#f7f7f4",
  districtLine: "#8b95a1",
  river: "#b9cbd8",
  roadMain: "#ffffff",
  road: "#ffffff",
  roadCase: "#b4b9bf",
  built: "#e6e5df",
  flat: "#dfe3e0",
  hill: "#dfe6d8",
  park: "rgba(110,90,150,0.12)",
  parkLine: "#7a6b99",
  label: "#2a333d",
  labelDim: "#5d6873",
  halo: "#ffffff",
  tile: "#ffffff",
  tileLine: "#5d6873",
  glyph: "#2a333d",
  unit: "#2a333d",
  unitInk: "#ffffff",
  busy: "#5b3fc4",
  busyInk: "#ffffff",
  closure: "#111111",
  closureInk: "#ffffff",
  storm: "#2a333d",
};

export const FONT = '"Noto Sans CJK SC","Source Han Sans SC","Microsoft YaHei","PingFang SC","WenQuanYi Micro Hei",sans-serif';
