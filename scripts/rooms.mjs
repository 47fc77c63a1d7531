// Holds the direction of dependencies: a room imports only rooms before it in this list, and only their index.ts.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const rooms = [
  "system",
  "kube",
  "store",
  "apiserver",
  "client",
  "tables",
  "services",
  "routing",
  "proxy",
  "dataplane",
  "loadbalancer",
  "dns",
  "scheduler",
  "controllers",
  "kubelet",
  "explain",
  "testing",
  "cli",
];

/** Rooms that decide meaning: no I/O of any kind. */
const pure = new Map([
  ["services", ["system", "kube"]],
  ["routing", ["system", "kube", "services"]],
]);

const src = join(dirname(fileURLToPath(import.meta.url)), "..", "src");
const problems = [];

for (const entry of readdirSync(src, { recursive: true, withFileTypes: true })) {
  if (!entry.isFile() || !entry.name.endsWith(".ts")) continue;
  const file = join(entry.parentPath, entry.name);
  const room = relative(src, file).split("/")[0];
  const from = rooms.indexOf(room);
  if (from < 0) {
    problems.push(`${relative(src, file)}: "${room}" is not in the list of rooms`);
    continue;
  }
  const text = readFileSync(file, "utf8");
  for (const [, target] of text.matchAll(/(?:from|import)\s*\(?\s*"([^"]+)"/g)) {
    if (!target.startsWith(".")) {
      if (pure.has(room) && target.startsWith("node:") && target !== "node:net" && !entry.name.endsWith(".test.ts")) {
        problems.push(`${relative(src, file)}: ${room} is pure and may not import ${target}`);
      }
      continue;
    }
    const path = relative(src, resolve(dirname(file), target));
    const other = path.split("/")[0];
    if (other === room || path.startsWith("..")) continue;
    const to = rooms.indexOf(other);
    if (to > from) problems.push(`${relative(src, file)}: ${room} may not import ${other}, a higher room`);
    else if (path !== `${other}/index.ts` && !entry.name.endsWith(".test.ts"))
      problems.push(`${relative(src, file)}: import ${other}/index.ts, not ${path}`);
    if (pure.has(room) && !pure.get(room).includes(other)) {
      problems.push(`${relative(src, file)}: ${room} is pure and may not import ${other}`);
    }
  }
}

for (const problem of problems) console.error(problem);
if (problems.length > 0) process.exit(1);
console.log(`rooms: every import goes downwards`);
