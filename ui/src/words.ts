// Numbers and times as people read them.

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat("en-US", { maximumFractionDigits: 1 });

export function count(value: number | null | undefined): string {
  return value == null ? "unknown" : whole.format(value);
}

export function units(value: number | null | undefined): string {
  return value == null ? "unknown" : (Math.abs(value) < 100 ? fine : whole).format(value);
}

export function percent(share: number | null | undefined): string {
  if (share == null) return "unknown";
  // 100 % is said of what is complete only.
  return `${share >= 1 ? 100 : Math.min(Math.floor(share * 1000) / 10, 99.9)} %`;
}

export function duration(seconds: number): string {
  if (seconds < 90) return `${Math.max(Math.round(seconds), 0)} s`;
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${fine.format(seconds / 3600)} h`;
  return `${fine.format(seconds / 86400)} days`;
}

/** The time zone that is set in Airflow's own page; UTC, as there, if none is. */
function zone(): string {
  try {
    const set = JSON.parse(localStorage.getItem("timezone") ?? '"UTC"') as string;
    const name = set === "local" ? undefined : set;
    return new Intl.DateTimeFormat("en", { timeZone: name }).resolvedOptions().timeZone;
  } catch {
    return "UTC";
  }
}

const timeZone = zone();
const day = new Intl.DateTimeFormat("en-GB", { timeZone, month: "short", day: "numeric" });
const time = new Intl.DateTimeFormat("en-GB", { timeZone, hour: "2-digit", minute: "2-digit", second: "2-digit" });
const short = new Intl.DateTimeFormat("en-GB", { timeZone, hour: "2-digit", minute: "2-digit" });

export const zoneName = timeZone;

export function clock(seconds: number): string {
  const at = new Date(seconds * 1000);
  return `${day.format(at)}, ${time.format(at)}`;
}

export function hour(seconds: number): string {
  return short.format(new Date(seconds * 1000));
}

/** Share done a second, by the last part of the course; null if that is not known. */
export function speed(course: [number, number | null, number | null][]): number | null {
  const known = course.filter((point) => point[1] != null) as [number, number, number | null][];
  const last = known[known.length - 1];
  if (!last) return null;
  const moving = known.filter((point) => point[1] < last[1]);
  const first = moving[Math.max(0, moving.length - 20)];
  if (!first || last[0] <= first[0]) return null;
  return (last[1] - first[1]) / (last[0] - first[0]);
}
