// The page of all jobs of this Airflow.

import { type NoAnswer, ask, repeat } from "./airflow";
import { h } from "./dom";
import { isFinal, setColours, stateBadge } from "./states";
import { followTheme } from "./theme";
import { clock, count, percent, units } from "./words";

interface Row {
  dag_id: string; run_id: string | null; task_id: string | null; map_index: number; state: string | null; live: boolean;
  started: number | null; request_id: string; batch_api: string; things: string; status: string | null; share: number | null; failed: number;
  cost: number | null; read_at: number | null; unknown_since: number | null; earlier: boolean;
}
interface Account { conn_id: string; read_at: number | null; error: string; reading: boolean; unread: string[] }
interface Jobs { now: number; month: string; jobs: Row[]; costs: Record<string, number>; more: boolean; accounts: Account[] }

const EVERY = 15_000;
const page = document.getElementById("page")!;
const here = location.pathname.replace(/\/$/, "");
const root = here.replace(/\/sentinelhub\/jobs$/, "");
const wanted = h("input", { type: "search", placeholder: "Find a DAG, task or request", "aria-label": "Find a DAG, task or request" }) as HTMLInputElement;
const body = h("tbody");
const numbers = h("dl", { class: "numbers" });
const costs = h("section", { class: "card" });
const note = h("p", { class: "sub" });
const lost = h("p", { class: "note", role: "status", hidden: true });
let last: Jobs | null = null;
let shown = "";

type Kind = "running" | "waiting" | "failed" | "ended";

function kind(row: Row): Kind {
  const status = row.status ?? "";
  if (status === "FAILED" || status === "PARTIAL" || row.state === "failed") return "failed";
  if (isFinal(status) || !row.live) return "ended";
  return status === "PROCESSING" ? "running" : "waiting";
}

function link(row: Row): string {
  const parts = ["dags", row.dag_id, "runs", row.run_id ?? "", "tasks", row.task_id ?? "", ...(row.map_index >= 0 ? ["mapped", String(row.map_index)] : [])];
  return `${root}/${parts.map(encodeURIComponent).join("/")}/plugin/sentinelhub`;
}

function render(): void {
  const jobs = last;
  if (!jobs) return;
  const text = wanted.value.trim().toLowerCase();
  const rows = jobs.jobs.filter((row) => !text || `${row.dag_id} ${row.task_id ?? ""} ${row.run_id ?? ""} ${row.request_id}`.toLowerCase().includes(text));
  const key = JSON.stringify([text, { ...jobs, now: null }]);
  if (key === shown) return;
  shown = key;
  const many = (which: Kind) => count(jobs.jobs.filter((row) => kind(row) === which).length);
  const total = Object.values(jobs.costs).reduce((sum, cost) => sum + cost, 0);
  const cell = (label: string, value: string, sub?: string) => h("div", {}, h("dt", {}, label), h("dd", {}, value), sub ? h("dd", { class: "sub" }, sub) : null);
  numbers.replaceChildren(cell("Running", many("running")), cell("Waiting", many("waiting")), cell("Failed", many("failed")), cell(`Cost in ${jobs.month}`, `${units(total)} PU`));
  body.replaceChildren(...rows.map((row) => h("tr", {},
    h("td", {}, stateBadge(row.status, row.failed, row.things.replace(/s$/, "")), row.unknown_since && row.live ? h("small", { class: "error" }, " cannot be read") : null),
    h("td", {}, ...task(row)),
    h("td", {}, h("code", {}, row.request_id)),
    h("td", { class: "number" }, percent(row.status === "DONE" && !row.failed ? 1 : row.share)),
    h("td", { class: "number" }, row.cost === null ? "unknown" : `${units(row.cost)} PU`),
    h("td", { class: "number" }, row.started ? clock(row.started) : "not started"))));
  const dearest = Math.max(...Object.values(jobs.costs), 1e-9);
  costs.hidden = !Object.keys(jobs.costs).length;
  costs.replaceChildren(h("h2", {}, `Cost in ${jobs.month} by DAG`), h("dl", { class: "costs" }, ...Object.entries(jobs.costs).flatMap(([dag, cost]) => [
    h("dt", {}, dag), h("dd", {}, h("progress", { max: "1", value: String(cost / dearest), "aria-hidden": "true" }), `${units(cost)} PU`)])),
    ...sources(jobs).map((line) => h("p", { class: "sub" }, line)));
  note.textContent = jobs.jobs.length === 0 ? "No task of a DAG that you may read has had a Sentinel Hub job." : jobs.more ? "These are the newest jobs; older ones are not listed." : "";
}

/** The task of a job, with a link to its tab; a job of an earlier try has none in Airflow any more. */
function task(row: Row): Node[] {
  const name = `${row.dag_id}${row.task_id ? ` · ${row.task_id}` : ""}${row.map_index >= 0 ? ` [${row.map_index}]` : ""}`;
  if (!row.earlier) return [h("a", { href: link(row), target: "_top" }, name), h("small", {}, row.run_id ?? "")];
  return [h("span", {}, name), h("small", {}, "of an earlier try that was cleared, or of a deleted run")];
}

/** Where the costs come from, in sentences. */
function sources(jobs: Jobs): string[] {
  const read = jobs.accounts.filter((account) => account.read_at !== null);
  const lines = read.map((account) => `Costs by the account's list of requests (connection ${account.conn_id}), cleared tries included, as of ${clock(account.read_at!)}.`);
  for (const account of jobs.accounts) {
    if (account.error) lines.push(`The account's list (connection ${account.conn_id}) cannot be read: ${account.error}`);
    else if (account.reading && account.read_at === null) lines.push(`The account's list (connection ${account.conn_id}) is being read.`);
    if (account.read_at === null) lines.push("Until it is read, costs are those that the tasks have noted; jobs of cleared tries are missing.");
    lines.push(...account.unread);
  }
  return lines;
}

async function look(): Promise<number> {
  const jobs = await ask<Jobs>(`${here}/facts`);
  if (!last) {
    const titles = ["Status", "Task", "Request", "Done", "Cost", "Started"];
    page.replaceChildren(
      h("header", { class: "top" }, h("h1", {}, "Sentinel Hub jobs"), wanted), lost, numbers, costs,
      h("section", { class: "card wide" }, h("table", {}, h("thead", {}, h("tr", {}, ...titles.map((title, at) => h("th", { scope: "col", class: at > 2 ? "number" : "" }, title)))), body)), note);
  }
  last = jobs;
  lost.hidden = true;
  render();
  document.body.dataset["ready"] = "true";
  return EVERY;
}

function missed(why: NoAnswer, since: number): void {
  lost.textContent = `Nothing new since ${clock(since)}: ${why.message} Jobs go on without this page, and those that were started bill.`;
  lost.hidden = false;
  if (last && !why.closed) return;
  last = null;
  shown = "";
  page.replaceChildren(h("h1", { class: "notice", role: "status" }, why.message));
}

wanted.addEventListener("input", render);
setColours();
followTheme(() => undefined);
repeat(look, missed);
