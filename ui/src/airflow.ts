// Asks Airflow for what a page shows, again and again. Where no answer comes the page says why, and since when.

/** Milliseconds until Airflow is asked again that has not answered. */
const AGAIN = 10_000;

export class NoAnswer extends Error {
  /** `closed`: the user may not see the page, or not any more, so what is on it goes. */
  constructor(message: string, readonly closed = false) {
    super(message);
  }
}

/** A reply as JSON. Anything else is a `NoAnswer`, with a sentence for the page. */
export async function ask<T>(url: string): Promise<T> {
  const reply = await fetch(url, { headers: { Accept: "application/json" } }).catch(() => null);
  if (!reply) throw new NoAnswer("Airflow does not answer.");
  if (reply.status === 401) throw new NoAnswer("You are not logged in to Airflow any more.", true);
  if (reply.status === 403) throw new NoAnswer("You may not see this: it is for those who may read the DAG's XComs.", true);
  if (!reply.ok) throw new NoAnswer(`Airflow answered with ${reply.status}.`);
  const value = (await reply.json().catch(() => undefined)) as T | undefined;
  if (value === undefined) throw new NoAnswer("Airflow's answer broke off.");
  return value;
}

/**
 * Look for as long as the page is open.
 * @param look Draws the page, and says after how many milliseconds it is due again.
 * @param missed Is told that there was no answer, and since when, in seconds since 1970.
 */
export function repeat(look: () => Promise<number>, missed: (why: NoAnswer, since: number) => void): void {
  let since: number | null = null;
  const once = async (): Promise<void> => {
    // Nobody asks for what nobody sees.
    if (document.hidden) return document.addEventListener("visibilitychange", () => void once(), { once: true });
    let pause = AGAIN;
    try {
      pause = await look();
      since = null;
    } catch (error) {
      if (!(error instanceof NoAnswer)) reportError(error);
      since ??= Date.now() / 1000;
      missed(error instanceof NoAnswer ? error : new NoAnswer("This page could not show Airflow's answer."), since);
    }
    setTimeout(() => void once(), pause);
  };
  void once();
}
