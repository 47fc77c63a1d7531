// Joins the modules of dist/ into few files in dist/bundle/, so that the program starts sooner: to find, read and link some
// six hundred small files takes longer than to run them. What is loaded when it is first used stays a file of its own.
// The libraries that every start needs are joined too; their licences stand in dist/bundle/NOTICE.
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const dist = join(fileURLToPath(new URL("..", import.meta.url)), "dist");
const target = join(dist, "bundle");
/** Milliseconds for which files of an earlier build stay: a program that runs may yet load them. */
const kept = 86_400_000;

/** Libraries that every start loads, in plain JavaScript: with all that they need themselves. Others stay where npm puts them. */
const libraries = new Set(["commander", "dns-packet", "pino", "yaml"]);
const ofPackage = /^(.*\/node_modules\/((?:@[^/]+\/)?[^/]+))\//;

function isExternal(id, importer) {
  if (id.startsWith(".") || id.startsWith("/")) return false;
  return isBuiltin(id) || !(libraries.has(id) || ofPackage.test(importer ?? ""));
}

/** What the licences of the joined libraries ask for: their text beside the copy. Throws for a library without one. */
function noticeOf(output) {
  const found = new Map();
  for (const { moduleIds = [] } of output) {
    for (const id of moduleIds) {
      const [, directory, name] = ofPackage.exec(id) ?? [];
      if (name) found.set(name, directory);
    }
  }
  const parts = [...found].toSorted().map(([name, directory]) => {
    const { version, license } = JSON.parse(readFileSync(join(directory, "package.json"), "utf8"));
    const file = readdirSync(directory).find((entry) => /^licen[cs]e(\.|$)/i.test(entry));
    if (!file) throw new Error(`bundle: ${name} has no licence file, so it may not be joined`);
    return `${name} ${version} (${license})\n\n${readFileSync(join(directory, file), "utf8").trim()}\n`;
  });
  return `The files beside this one contain the following libraries.\n\n${parts.join(`\n${"-".repeat(80)}\n\n`)}`;
}

/** What stands beside a module, such as the program of a child process, is found where the module itself is. */
const ownUrls = {
  name: "own-urls",
  transform(code, id) {
    if (!code.includes("import.meta.url") || ofPackage.test(id)) return null;
    const own = `new URL(${JSON.stringify(relative(target, id))}, import.meta.url).href`;
    return { code: code.replaceAll("import.meta.url", own), map: null };
  },
};

/** The program of the processes that serve HTTP, with nothing in it that they do not use: it is started when one of them dies. */
async function worker(rolldown) {
  const build = await rolldown.rolldown({
    input: { "embedded-worker": join(dist, "dataplane/embedded/workers/main.js") },
    platform: "node",
    external: (id) => !id.startsWith(".") && !id.startsWith("/"),
    logLevel: "silent",
  });
  return (await build.generate({ format: "esm", codeSplitting: false })).output;
}

/** Returns false when it can not be done here: then the modules run as they are. */
export async function bundle() {
  const rolldown = await import("rolldown").catch(() => undefined);
  if (!rolldown) return false;
  const build = await rolldown.rolldown({
    input: { main: join(dist, "cli/main.js") },
    platform: "node",
    external: isExternal,
    plugins: [ownUrls],
    logLevel: "silent",
  });
  const { output } = await build.generate({ format: "esm", chunkFileNames: "[name]-[hash].js" });
  output.push(...(await worker(rolldown)));
  mkdirSync(target, { recursive: true });
  writeFileSync(join(target, "NOTICE"), noticeOf(output));
  // The entry last, and each at once: whoever starts meanwhile finds all files of one build.
  for (const file of output.toSorted((a, b) => Number(a.isEntry) - Number(b.isEntry))) {
    const path = join(target, file.fileName);
    if (!file.isEntry && existsSync(path)) continue;
    const draft = `${path}.${process.pid}`;
    writeFileSync(draft, file.code);
    renameSync(draft, path);
  }
  const current = new Set([...output.map(({ fileName }) => fileName), "NOTICE"]);
  for (const name of readdirSync(target)) {
    const path = join(target, name);
    if (!current.has(name) && Date.now() - statSync(path).mtimeMs > kept) rmSync(path, { force: true });
  }
  return true;
}

if (process.argv[1] === fileURLToPath(import.meta.url) && !(await bundle())) process.exitCode = 1;
