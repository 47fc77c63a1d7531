// Joins the modules of dist/ into few files in dist/bundle/, so that the program starts sooner: to find, read and link some
// six hundred small files takes longer than to run them. What is loaded when it is first used stays a file of its own.
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const dist = join(fileURLToPath(new URL("..", import.meta.url)), "dist");
const target = join(dist, "bundle");
/** Milliseconds for which files of an earlier build stay: a program that runs may yet load them. */
const kept = 86_400_000;

/** What stands beside a module, such as the program of a child process, is found where the module itself is. */
const ownUrls = {
  name: "own-urls",
  transform(code, id) {
    if (!code.includes("import.meta.url")) return null;
    const own = `new URL(${JSON.stringify(relative(target, id))}, import.meta.url).href`;
    return { code: code.replaceAll("import.meta.url", own), map: null };
  },
};

/** Returns false when it can not be done here: then the modules run as they are. */
export async function bundle() {
  const rolldown = await import("rolldown").catch(() => undefined);
  if (!rolldown) return false;
  const build = await rolldown.rolldown({
    input: { main: join(dist, "cli/main.js") },
    platform: "node",
    external: (id) => !id.startsWith(".") && !id.startsWith("/"),
    plugins: [ownUrls],
    logLevel: "silent",
  });
  const { output } = await build.generate({ format: "esm", chunkFileNames: "[name]-[hash].js" });
  mkdirSync(target, { recursive: true });
  // The entry last, and each at once: whoever starts meanwhile finds all files of one build.
  for (const file of output.toSorted((a, b) => Number(a.isEntry) - Number(b.isEntry))) {
    const path = join(target, file.fileName);
    if (!file.isEntry && existsSync(path)) continue;
    const draft = `${path}.${process.pid}`;
    writeFileSync(draft, file.code);
    renameSync(draft, path);
  }
  const current = new Set(output.map(({ fileName }) => fileName));
  for (const name of readdirSync(target)) {
    const path = join(target, name);
    if (!current.has(name) && Date.now() - statSync(path).mtimeMs > kept) rmSync(path, { force: true });
  }
  return true;
}

if (process.argv[1] === fileURLToPath(import.meta.url) && !(await bundle())) process.exitCode = 1;
