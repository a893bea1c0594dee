// Light or dark, as Airflow's own page around this one is; alone, as the browser says.

export type Theme = "light" | "dark";

function parentRoot(): HTMLElement | null {
  try {
    return window.parent !== window ? window.parent.document.documentElement : null;
  } catch {
    return null; // another origin
  }
}

export function theme(): Theme {
  const root = parentRoot();
  if (root?.classList.contains("dark")) return "dark";
  if (root?.classList.contains("light")) return "light";
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

export function followTheme(changed: (theme: Theme) => void): void {
  const apply = () => {
    const now = theme();
    if (document.documentElement.dataset["theme"] === now) return;
    document.documentElement.dataset["theme"] = now;
    changed(now);
  };
  apply();
  const root = parentRoot();
  if (root) new MutationObserver(apply).observe(root, { attributes: true, attributeFilter: ["class", "style"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", apply);
}
