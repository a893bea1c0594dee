// How a status looks: a colour and a pattern, so that neither alone has to be told apart.

import type { Theme } from "./theme";

export interface Look {
  label: string;
  colour: Record<Theme, string>;
  pattern: "full" | "stripes" | "cross" | "dots" | "none";
}

const UNKNOWN: Look = { label: "other", colour: { light: "#8d6fb8", dark: "#a98fd0" }, pattern: "dots" };
export const LOOKS: Record<string, Look> = {
  PROCESSED: { label: "done", colour: { light: "#2a9d78", dark: "#35b58c" }, pattern: "full" },
  PROCESSING: { label: "in work", colour: { light: "#3d8fd1", dark: "#5aa9e6" }, pattern: "stripes" },
  FAILED: { label: "failed", colour: { light: "#c8501e", dark: "#f0743c" }, pattern: "cross" },
  QUEUED: { label: "queued", colour: { light: "#8ea3b8", dark: "#7f95ab" }, pattern: "dots" },
  SCHEDULED: { label: "scheduled", colour: { light: "#8ea3b8", dark: "#7f95ab" }, pattern: "dots" },
  PENDING: { label: "waiting", colour: { light: "#b3bcc6", dark: "#66717d" }, pattern: "none" },
};

export function look(word: string): Look {
  return LOOKS[word] ?? { ...UNKNOWN, label: word.toLowerCase() };
}

/** A square of the pattern, for filling tiles and for the legend. */
export function swatch(word: string, theme: Theme, scale = 1): HTMLCanvasElement {
  const { colour, pattern } = look(word);
  const size = 8 * scale;
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = size;
  const c = canvas.getContext("2d")!;
  c.fillStyle = c.strokeStyle = colour[theme];
  c.globalAlpha = pattern === "full" || pattern === "cross" ? 0.85 : pattern === "none" ? 0.3 : 0.5;
  c.fillRect(0, 0, size, size);
  c.globalAlpha = 1;
  c.lineWidth = 1.4 * scale;
  c.beginPath();
  if (pattern === "stripes" || pattern === "cross") {
    for (const at of [-size, 0, size]) {
      c.moveTo(at, size);
      c.lineTo(at + size, 0);
    }
  }
  if (pattern === "cross") {
    c.strokeStyle = theme === "dark" ? "#3a1405" : "#fff0e8";
    for (const at of [-size, 0, size]) {
      c.moveTo(at, 0);
      c.lineTo(at + size, size);
    }
  }
  c.stroke();
  if (pattern === "dots") c.fillRect(size / 2 - scale, size / 2 - scale, 2 * scale, 2 * scale);
  return canvas;
}
