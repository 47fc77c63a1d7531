// Fills a small file system of its own with a store, and makes room again. Run as root inside a new mount namespace.
// Usage: unshare --mount node disk-full.mjs STORE-MODULE DIRECTORY
import { execFileSync } from "node:child_process";

const [module, path] = process.argv.slice(2);
execFileSync("mount", ["-t", "tmpfs", "-o", "size=8m", "none", path]);
const { openLmdbStore } = await import(module);
const store = await openLmdbStore({ path });
const value = Buffer.alloc(50_000, 1);

const put = (key) => store.write([], [{ type: "put", key, value }]);
let failure;
let written = 0;
while (!failure && written < 1000) {
  await put(`/k/${written}`).then(
    () => written++,
    (error) => (failure = error),
  );
}
const revision = await store.revision();
const readable = (await store.list("/k/")).items.length;
const still = [];
for (let i = 0; i < 3; i++) still.push(await put("/full").catch((error) => error.code));

execFileSync("mount", ["-o", "remount,size=32m", path]);
const after = await put("/again");
await store.close();
const reopened = await openLmdbStore({ path });
const found = (await reopened.list("/")).items.length;
await reopened.close();
console.log(
  JSON.stringify({ code: failure.code, message: failure.message, written, revision, readable, still, after, found }),
);
