// The page of a job. It asks Airflow for what is known, and draws it; it changes nothing.

import type { Topology } from "topojson-specification";
import { type NoAnswer, ask, repeat } from "./airflow";
import { chart } from "./chart";
import { copyButton, download, h } from "./dom";
import { look, swatch } from "./looks";
import { JobMap } from "./map";
import { badge, isFinal, setColours, stateBadge, word } from "./states";
import { followTheme, theme } from "./theme";
import { Tiles } from "./tiles";
import type { RequestView, TilesReply, View } from "./types";
import { clock, count, duration, percent, speed, units, zoneName } from "./words";

const LIVE_EVERY = 5_000;
const READING_EVERY = 1_000;
const ENDED_EVERY = 60_000;
const MOST_LISTED = 200;

interface Embedded {
  view: View;
  tiles: TilesReply;
}

const page = document.getElementById("page")!;
const embedded = inFile<Embedded>("embedded");
const here = location.pathname.replace(/\/$/, "");

let built: Page | null = null;
let tag = "";
let seen = -1;
let chosen = -1;
/** When the tiles that are shown were read, in seconds since 1970. */
let readAt: number | null = null;
/** What is shown, when it came, and why nothing newer does. Times in seconds since 1970. */
let shown: { view: View; at: number } | null = null;
let lost = "";
/** What a job is divided into, as the request says it: `tile` or `feature`. */
let thing = "tile";

class Page {
  readonly top = h("header", { class: "top" });
  readonly notes = h("div", { class: "notes", role: "status", "aria-live": "polite" });
  readonly numbers = h("dl", { class: "numbers" });
  readonly legend = h("div", { class: "legend", role: "group", "aria-label": `${named(thing)}s by status` });
  readonly mapPlace = h("div", { class: "map", tabindex: "0", role: "application", "aria-label": `Map of the ${thing}s. Arrow keys move it, plus and minus zoom.` });
  readonly tip = h("div", { class: "tip", hidden: true });
  readonly detail = h("section", { class: "card detail", "aria-live": "polite", hidden: true });
  readonly course = h("section", { class: "card" });
  readonly states = h("section", { class: "card" });
  readonly failed = h("section", { class: "card" });
  readonly about = h("section", { class: "card about" });
  readonly find = h("input", { type: "search", placeholder: `Find a ${thing} by name`, "aria-label": `Find a ${thing} by name` }) as HTMLInputElement;
  readonly map: JobMap;
  landAsked = false;
  private said = new Map<HTMLElement, string>();

  constructor() {
    const frame = h("div", { class: "mapframe" }, this.mapPlace, this.tip);
    const whole = h("button", { type: "button", class: "quiet", click: () => this.map.fitAll() }, "Whole job");
    this.find.addEventListener("change", () => this.search());
    page.replaceChildren(
      this.top, this.notes, this.numbers,
      h("section", { class: "card mapcard", "aria-label": "Map" }, h("div", { class: "bar" }, this.legend, h("div", { class: "tools" }, this.find, whole)), frame),
      this.detail,
      h("div", { class: "columns" }, this.course, this.states),
      this.failed, this.about,
    );
    this.map = new JobMap(this.mapPlace, (tile, pixel) => this.hover(tile, pixel), (tile) => this.choose(tile, false));
  }

  /** Replace the content of a part, unless it is the same: what somebody has selected or opened stays. */
  part(element: HTMLElement, key: unknown, make: () => (Node | null | false)[]): void {
    const now = JSON.stringify(key);
    if (this.said.get(element) === now) return;
    this.said.set(element, now);
    const nodes = make().filter((node): node is Node => Boolean(node));
    element.replaceChildren(...nodes);
    if (element.classList.contains("card") && element !== this.detail) element.hidden = nodes.length === 0;
  }

  hover(tile: number, pixel: number[]): void {
    const tiles = this.map.tiles;
    this.tip.hidden = tile < 0 || !tiles;
    this.mapPlace.style.cursor = tile >= 0 ? "pointer" : "";
    if (tile < 0 || !tiles) return;
    this.tip.replaceChildren(h("strong", {}, tiles.names[tile]!), ` ${look(tiles.word(tile)).label}`);
    this.tip.style.transform = `translate(${Math.round(pixel[0]!) + 14}px, ${Math.round(pixel[1]!) + 14}px)`;
  }

  choose(tile: number, move: boolean): void {
    chosen = tile;
    this.map.show(tile, move);
    const tiles = this.map.tiles;
    this.detail.hidden = tile < 0 || !tiles;
    if (tile < 0 || !tiles) return;
    const cost = tiles.table.costs?.[tile];
    const error = tiles.table.errors[String(tile)];
    const paths = h("dd", {}, "…");
    this.detail.replaceChildren(
      h("h2", {}, `${named(thing)} `, h("code", {}, tiles.names[tile]!), " ", badge(tiles.word(tile))),
      h("dl", { class: "pairs" },
        h("dt", {}, "Cost"), h("dd", {}, cost == null ? `not said for this ${thing}` : `${units(cost)} PU`),
        error && h("dt", {}, "Error"), error && h("dd", { class: "error" }, error),
        h("dt", {}, "Files"), paths),
      h("div", { class: "tools" }, copyButton("Copy name", () => tiles.names[tile]!), h("button", { type: "button", class: "quiet", click: () => this.choose(-1, false) }, "Close")),
    );
    if (embedded) showFiles(paths, embedded.tiles.paths?.[tile] ?? null);
    else void this.files(tile, paths);
  }

  private async files(tile: number, place: HTMLElement): Promise<void> {
    const reply = await fetch(`${here}/tile/${tile}`).catch(() => null);
    if (chosen !== tile) return;
    const found = reply?.ok ? ((await reply.json()) as { name: string; paths: Record<string, string> }) : null;
    // The list may have been read anew since, with another tile at this place.
    showFiles(place, found?.name === this.map.tiles?.names[tile] ? (found?.paths ?? null) : null);
  }

  private search(): void {
    const wanted = this.find.value.trim();
    const tile = wanted ? (this.map.tiles?.names.indexOf(wanted) ?? -1) : -1;
    this.find.setCustomValidity(wanted && tile < 0 ? `There is no ${thing} with this name.` : "");
    this.find.reportValidity();
    if (tile >= 0) this.choose(tile, true);
  }
}

function showFiles(place: HTMLElement, found: Record<string, string> | null): void {
  const urls = Object.values(found ?? {});
  place.replaceChildren(...(urls.length ? urls.map((url) => h("div", {}, h("code", {}, url))) : [found ? "none yet" : "not known here"]));
}

/** What a state means. For minutes after an action the status is still the one of before. */
function happened(status: string, action: string): string {
  const ended = isFinal(status);
  const asked = { ANALYSE: status === "CREATED" ? "analysis" : "", START: ["CREATED", "ANALYSIS_DONE"].includes(status) ? "start" : "", CANCEL: ended ? "" : "cancel", STOP: ended ? "" : "stop" }[action];
  return asked ? `${word(status)}, ${asked} asked for` : word(status);
}

/** One sentence instead of a job. */
function notice(text: string): void {
  forget();
  document.body.dataset["ready"] = "false";
  page.replaceChildren(h("div", { role: "status" }, h("h1", { class: "notice" }, text)));
}

function forget(): void {
  built?.map.map.dispose();
  built = shown = null;
  [tag, seen, chosen] = ["", -1, -1];
}

function render(view: View): void {
  const request = view.request;
  if (!view.found || !request) {
    notice(view.notice ?? "There is nothing to show.");
    return;
  }
  // After it was cleared, a task has another request: nothing of the one before is true of it.
  if (built && shown?.view.request?.id !== request.id) forget();
  shown = { view, at: Date.now() / 1000 };
  thing = request.things.replace(/s$/, "");
  built ??= new Page();
  const { task } = view;
  const { job } = request;
  readAt = request.tiles.read_at;
  if (built?.map.tiles) legend(built, built.map.tiles);
  const p = built;
  const status = job.status ?? "";
  const ending = status !== "" && !isFinal(status);
  const age = request.read_at ? Math.max(view.now - request.read_at, 0) : null;
  const old = age !== null && view.live && age > Math.max(3 * (request.every ?? 60), 180);
  const before = request.read_at ? ` What is shown was read on ${clock(request.read_at)}.` : " Nothing of it was read yet.";
  const notes = [
    lost,
    request.unknown_since && view.live ? `The request cannot be read since ${clock(request.unknown_since)}: ${request.why} What is shown was read before. If it was started, it runs on and bills.` : "",
    job.error ? `The service says: ${job.error}` : "",
    request.error ? `Reading the request for this page failed: ${request.error}${before}` : "",
    request.tiles.error ? `The ${thing}s cannot be read: ${request.tiles.error}` : "",
  ].filter(Boolean);
  p.part(p.notes, notes, () => notes.map((note) => h("p", { class: "note" }, note)));

  const counts = p.map.tiles ? tileCounts(p.map.tiles) : (request.counts ?? {});
  const done = counts["PROCESSED"];
  const failed = counts["FAILED"];
  const listed = Object.values(counts).reduce((sum, number) => sum + number, 0);
  const total = request.tiles.partly || !listed ? (job.tile_count ?? (listed || null)) : listed;
  p.part(p.top, [status, failed, job.user_action, request.id, task?.try_number, task?.state], () => [
    h("h1", {}, stateBadge(status, failed, thing),
      job.user_action === "CANCEL" || job.user_action === "STOP" ? h("small", {}, ending ? " is being ended" : " ended by request") : null),
    h("p", { class: "who" }, "Batch request ", h("code", {}, request.id), " ", copyButton("Copy id", () => request.id)),
  ]);
  // While it runs the service knows better than tiles that were read a moment ago; afterwards its share counts failed ones.
  const counted = total && done !== undefined && !request.tiles.partly ? done / total : null;
  const share = ending ? (job.share ?? counted) : (counted ?? job.share ?? null);
  const pace = speed(request.course);
  const left = share !== null && pace && ending ? (1 - share) / pace : null;
  const cost = request.final_cost ?? job.cost ?? null;
  p.part(p.numbers, [share, done, failed, total, cost, job.expected_cost, request.budget, left && Math.round(left / 10), pace, request.read_at, request.by_task, view.live], () => [
    number("Done", percent(share), share === null ? null : meter(share, "share done")),
    number(`${named(thing)}s`, total === null ? "unknown" : `${done === undefined ? "?" : count(done)} of ${count(total)}`, failed ? h("span", { class: "error" }, `${count(failed)} failed`) : failed === 0 ? "none failed" : null),
    number("Cost", cost === null ? (job.expected_cost == null ? "unknown" : `about ${units(job.expected_cost)} PU`) : `${units(cost)} PU`, costNote(cost, job.expected_cost ?? null, request.budget)),
    number("Time left", left === null ? (ending ? "unknown" : "none") : duration(left), pace && total && ending ? rate(pace * total) : null),
    number("Read", age === null ? "not yet" : h("time", { "data-at": String(request.read_at) }, `${duration(age)} ago`), request.by_task ? (view.live ? "by the waiting task" : "by the task") : "by this page"),
  ]);
  p.numbers.classList.toggle("old", Boolean(old));
  for (const time of p.numbers.querySelectorAll("time")) time.textContent = age === null ? "" : `${duration(age)} ago`;

  p.part(p.course, [request.course, request.budget], () => {
    const drawn = chart(request.course, request.budget);
    return drawn ? [h("h2", {}, "Progress"), drawn] : [];
  });
  p.part(p.states, request.states, () => request.states.length ? [
    h("h2", {}, "What happened ", h("small", {}, zoneName)),
    h("ol", { class: "states" }, ...request.states.map(([at, name, action]) => h("li", {}, h("time", {}, clock(at)), h("span", {}, happened(name, action))))),
  ] : []);
  p.part(p.about, [task, request.payload, request.marker, job.output_url, request.report, request.conn_id, job.description], () => about(view, request));
}

/** With a capital letter, for the beginning of a label. */
function named(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}

function tileCounts(tiles: Tiles): Record<string, number> {
  return Object.fromEntries([["PROCESSED", 0], ["FAILED", 0], ...tiles.words.map((name, code) => [name, tiles.counts[code]!])]);
}

function number(label: string, value: string | Node, note: string | Node | null): HTMLElement {
  return h("div", {}, h("dt", {}, label), h("dd", {}, value), note && h("dd", { class: "sub" }, note));
}

/** Tiles or features by the minute, slow ones by the hour. */
function rate(perSecond: number): string {
  const minute = perSecond * 60;
  return minute < 1 ? `${units(minute * 60)} ${thing}s an hour` : `${units(minute)} ${thing}s a minute`;
}

function meter(share: number, label: string): HTMLElement {
  const bar = h("progress", { max: "1", value: String(share), "aria-label": label });
  return bar;
}

function costNote(cost: number | null, expected: number | null, budget: number | null): string | null {
  const parts = [];
  if (budget !== null) parts.push(cost !== null && cost > budget ? `over the budget of ${units(budget)}` : `budget ${units(budget)} PU`);
  if (expected !== null && cost !== null) parts.push(`expected ${units(expected)}`);
  return parts.join(", ") || null;
}

function about(view: View, request: RequestView): Node[] {
  const { task } = view;
  const rows: [string, string | null | undefined][] = [
    ["Task", task && `${task.dag_id} · ${task.task_id}${task.map_index >= 0 ? ` [${task.map_index}]` : ""}`],
    ["Run", task?.run_id], ["Try", task && `${task.try_number} (${task.state ?? "not started"})`],
    ["API", `batch ${request.batch_api}, connection ${request.conn_id}`], ["Description", request.job.description],
    ["Marker", request.marker], ["Output", request.job.output_url], ["Report", request.report],
  ];
  const cells: Node[] = [];
  for (const [name, value] of rows) if (value) cells.push(h("dt", {}, name), h("dd", {}, h("code", {}, value)));
  const url = request.job.output_url;
  return [
    h("h2", {}, "About"), h("dl", { class: "pairs" }, ...cells),
    h("div", { class: "tools" }, url ? copyButton("Copy output path", () => url) : null, bucketLink(url)),
    ...(request.payload ? [h("details", {}, h("summary", {}, "Payload"), h("pre", { tabindex: "0", role: "region", "aria-label": "Payload" }, JSON.stringify(request.payload, null, 2)))] : []),
  ];
}

/** A link to the bucket in Amazon's console; nothing is loaded from there unless somebody follows it. */
function bucketLink(url: string | null | undefined): HTMLElement | null {
  const found = url?.match(/^s3:\/\/([a-z0-9][a-z0-9.-]+)\/?([^<]*)/);
  if (!found) return null;
  const prefix = found[2]!.replace(/[^/]*$/, "");
  return h("a", { class: "quiet", target: "_blank", rel: "noopener noreferrer", href: `https://s3.console.aws.amazon.com/s3/buckets/${found[1]}?prefix=${encodeURIComponent(prefix)}` }, "Open bucket");
}

function renderTiles(reply: TilesReply): void {
  const p = built;
  if (!p) return;
  p.map.setArea(reply.area);
  if (!reply.table) return;
  const tiles = new Tiles(reply.table);
  p.map.setTiles(tiles);
  legend(p, tiles);
  failedList(p, tiles);
  if (chosen >= 0 && chosen < tiles.names.length) p.choose(chosen, false);
}

function legend(p: Page, tiles: Tiles): void {
  p.part(p.legend, [tiles.counts, tiles.words, theme(), tiles.table.unplaced, readAt], () => [
    ...tiles.words.map((name, code) => {
      if (!tiles.counts[code]) return null;
      const box = h("input", { type: "checkbox", checked: !p.map.hidden.has(name) }) as HTMLInputElement;
      box.addEventListener("change", () => {
        if (box.checked) p.map.hidden.delete(name);
        else p.map.hidden.add(name);
        p.map.redraw();
      });
      const sample = swatch(name, theme(), 2);
      sample.setAttribute("aria-hidden", "true");
      return h("label", { class: "entry" }, box, sample, `${count(tiles.counts[code])} ${look(name).label}`);
    }),
    readAt ? h("small", {}, `as of ${clock(readAt)}`) : null,
    tiles.table.unplaced ? h("span", { class: "entry" }, `${count(tiles.table.unplaced)} without a known place`) : null,
  ]);
}

function failedList(p: Page, tiles: Tiles): void {
  const failed = [...tiles.names.keys()].filter((tile) => tiles.word(tile) === "FAILED");
  p.part(p.failed, [failed.length, failed.slice(0, MOST_LISTED).map((tile) => tiles.names[tile])], () => failed.length ? [
    h("h2", {}, `${count(failed.length)} failed ${thing}${failed.length === 1 ? "" : "s"}`),
    h("div", { class: "tools" },
      copyButton("Copy names", () => failed.map((tile) => tiles.names[tile]).join("\n")),
      h("button", { type: "button", class: "quiet", click: () => download(`failed-${thing}s.geojson`, "application/geo+json", tiles.geojson("FAILED")) }, "Download GeoJSON")),
    h("ul", { class: "failed" }, ...failed.slice(0, MOST_LISTED).map((tile) => h("li", {},
      h("button", { type: "button", class: "link", click: () => p.choose(tile, true) }, tiles.names[tile]!),
      tiles.table.errors[String(tile)] ? h("span", {}, tiles.table.errors[String(tile)]!) : null))),
    failed.length > MOST_LISTED ? h("p", { class: "sub" }, `and ${count(failed.length - MOST_LISTED)} more, which are copied and downloaded too`) : null,
  ] : []);
}

/** The land below the tiles: after them, so that nobody waits for the countries of the world to see a job. */
async function land(map: JobMap, read: () => Topology | null | Promise<Topology | null>): Promise<void> {
  await map.drawn();
  document.body.dataset["drawn"] = String(Math.round(performance.now()));
  const topology = await read();
  if (topology) map.setLand(topology);
  document.body.dataset["land"] = String(topology !== null);
}

/** What the file of a map brings along; Airflow's page asks for it. */
function inFile<T>(id: string): T | null {
  const element = document.getElementById(id);
  const text = element instanceof HTMLTemplateElement ? element.content.textContent : element?.textContent;
  return text ? (JSON.parse(text) as T) : null;
}

const scriptUrl = (document.currentScript as HTMLScriptElement | null)?.src || location.href;

async function lookAgain(): Promise<number> {
  const view = await ask<View>(`${here}/facts`);
  lost = "";
  render(view);
  const now = built as Page | null;
  if (!now || !view.request) return view.live ? LIVE_EVERY : ENDED_EVERY;
  // Without the file the map does without land.
  const world = now.landAsked ? null : ask<Topology>(String(new URL("countries.json", scriptUrl))).catch(() => null);
  now.landAsked = true;
  if (view.request.tiles.revision !== seen && (await askTiles())) {
    seen = view.request.tiles.revision;
    render(view);
  }
  if (world) void land(now.map, () => world);
  document.body.dataset["ready"] = String(now.map.tiles !== null);
  return view.request.reading ? READING_EVERY : view.live ? LIVE_EVERY : ENDED_EVERY;
}

/** False: there was no answer, and they are asked for again. */
async function askTiles(): Promise<boolean> {
  const reply = await fetch(`${here}/tiles`, { headers: tag ? { "If-None-Match": tag } : {} }).catch(() => null);
  if (!reply?.ok) return reply?.status === 304;
  const tiles = (await reply.json()) as TilesReply;
  tag = reply.headers.get("ETag") ?? "";
  renderTiles(tiles);
  return true;
}

function missed(why: NoAnswer, since: number): void {
  if (why.closed || !built || !shown) return notice(why.message);
  lost = `Nothing new since ${clock(since)}: ${why.message} The job goes on without this page, and bills if it was started.`;
  const now = shown;
  render({ ...now.view, now: now.view.now + Date.now() / 1000 - now.at });
  shown = now;
}

followTheme(() => {
  if (!built) return;
  built.map.redraw();
  if (built.map.tiles) legend(built, built.map.tiles);
});
setColours();
if (embedded) {
  render(embedded.view);
  renderTiles(embedded.tiles);
  render(embedded.view);
  document.body.dataset["ready"] = "true";
  void land(built!.map, () => inFile<Topology>("world"));
} else repeat(lookAgain, missed);
Object.assign(window, { sentinelhubFrames: () => built?.map.frames ?? 0 });
