// Fills a store until the largest size that a file of this process may have is reached, and goes on when it may be larger again.
// Usage: prlimit --fsize=BYTES:unlimited node file-limit.mjs STORE-MODULE DIRECTORY
import { execFileSync } from "node:child_process";

const [module, path] = process.argv.slice(2);
const { openLmdbStore, checkStore } = await import(module);
const store = await openLmdbStore({ path });
const value = Buffer.alloc(500_000, 1);
const put = (key) => store.write([], [{ type: "put", key, value }]);
let failure;
let written = 0;
while (!failure && written < 500)
  await put(`/k/${written}`).then(
    () => written++,
    (error) => (failure = error),
  );
const readable = (await store.list("/k/")).items.length;
const still = await put("/full").catch((error) => error.code);
execFileSync("prlimit", ["--pid", String(process.pid), "--fsize=unlimited:unlimited"]);
const after = await put("/again").catch((error) => error.code);
await store.close();
const { findings, keys } = await checkStore(path);
console.log(
  JSON.stringify({
    code: failure?.code,
    message: failure?.message,
    written,
    readable,
    still,
    after: after.ok ?? after,
    findings,
    keys,
  }),
);
