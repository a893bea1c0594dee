// A request's status in words, and how it looks.

import { h } from "./dom";
import { LOOKS, look } from "./looks";
import { count } from "./words";

const WORDS: Record<string, string> = {
  CREATED: "created", ANALYSING: "being analysed", ANALYSIS_DONE: "analysed", PROCESSING: "in work", DONE: "done",
  PARTIAL: "done in part", FAILED: "failed", CANCELED: "cancelled", STOPPED: "stopped",
};
const AS_TILES: Record<string, string> = {
  DONE: "PROCESSED", PROCESSING: "PROCESSING", FAILED: "FAILED", PARTIAL: "FAILED", CANCELED: "PENDING", STOPPED: "PENDING",
};

export function word(status: string): string {
  return WORDS[status] ?? status.toLowerCase();
}

export function isFinal(status: string): boolean {
  return ["DONE", "FAILED", "PARTIAL", "CANCELED", "STOPPED"].includes(status);
}

/** A word with a mark, for a tile's status. */
export function badge(name: string, label = look(name).label): HTMLElement {
  return h("span", { class: "badge", "data-status": name }, h("i", { "aria-hidden": "true" }), label);
}

/** The same for a request's status. The service calls a request done also when tiles of it failed. */
export function stateBadge(status: string | null | undefined, failed = 0, thing = "tile"): HTMLElement {
  if (status === "DONE" && failed > 0) return badge("FAILED", `done, ${count(failed)} ${thing}${failed === 1 ? "" : "s"} failed`);
  return badge(AS_TILES[status ?? ""] ?? "QUEUED", status ? word(status) : "not read yet");
}

/** Give the style sheet the colours of the statuses. */
export function setColours(): void {
  for (const [name, { colour }] of Object.entries(LOOKS)) {
    document.documentElement.style.setProperty(`--${name.toLowerCase()}-light`, colour.light);
    document.documentElement.style.setProperty(`--${name.toLowerCase()}-dark`, colour.dark);
  }
}
