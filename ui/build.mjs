// Builds airflow_sentinelhub/web/static from src. The result is the same on every machine: CI repeats it and compares.
import { build } from "esbuild";
import { cp, mkdir, readFile, writeFile } from "node:fs/promises";

const target = process.argv[2] ?? "../airflow_sentinelhub/web/static";
await mkdir(target, { recursive: true });
const { metafile } = await build({
  entryPoints: ["src/job.ts", "src/jobs.ts", "src/page.css"],
  outdir: target,
  bundle: true,
  minify: true,
  format: "iife",
  target: ["es2021"],
  legalComments: "none",
  charset: "utf8",
  metafile: true,
});
for (const name of ["job.html", "jobs.html", "icon.svg"]) await cp(`src/${name}`, `${target}/${name}`);
await cp("node_modules/world-atlas/countries-50m.json", `${target}/countries.json`);

// The licences of what is in the bundle, in the order of the names.
const names = new Set(["world-atlas"]);
for (const path of Object.keys(metafile.inputs)) {
  const found = path.match(/node_modules\/((?:@[^/]+\/)?[^/]+)\//);
  if (found) names.add(found[1]);
}
const parts = ["Libraries and data in this folder, with their licences.\n"];
for (const name of [...names].sort()) {
  const about = JSON.parse(await readFile(`node_modules/${name}/package.json`, "utf8"));
  let text = "";
  for (const file of ["LICENSE", "LICENSE.md", "LICENSE.txt", "LICENSE-MIT"]) {
    text ||= await readFile(`node_modules/${name}/${file}`, "utf8").catch(() => "");
  }
  if (!text && name !== "world-atlas") throw new Error(`${name} has no licence file`);
  parts.push(`${"=".repeat(78)}\n${name} ${about.version} (${about.license})\n\n${text.trim()}\n`);
}
parts.push(`${"=".repeat(78)}\ncountries.json: made with Natural Earth (naturalearthdata.com), in the public domain.\n`);
await writeFile(`${target}/LICENSES.txt`, parts.join("\n"));
