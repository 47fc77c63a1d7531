// Writes to a store until it is killed, and says on standard output what has been acknowledged.
// Usage: node writer.mjs STORE-MODULE DIRECTORY WRITERS
import { writeSync } from "node:fs";

const [module, path, writers] = process.argv.slice(2);
const { openLmdbStore } = await import(module);
const store = await openLmdbStore({ path });
writeSync(1, "open\n");

async function write(key) {
  const { item } = await store.get(key);
  let modRevision = item?.modRevision ?? 0;
  for (let count = Number(item ? Buffer.from(item.value).toString().split(" ")[0] : 0) + 1; ; count++) {
    // Two keys of one write must never part.
    const value = Buffer.from(`${count} ${"x".repeat(Math.floor(Math.random() * 3000))}`);
    const result = await store.write(
      [{ key, modRevision }],
      [key, `${key}/twin`].map((key) => ({ type: "put", key, value })),
    );
    if (!result.ok) throw new Error(`${key} was changed by someone else`);
    modRevision = result.revision;
    writeSync(1, `${key} ${count} ${modRevision}\n`);
    if (modRevision % 97 === 0) await store.compact(Math.max(1, modRevision - 50));
  }
}

await Promise.all(Array.from({ length: Number(writers) }, (_, i) => write(`/key/${i}`)));
