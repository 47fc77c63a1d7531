// Opens stores whose files were damaged, reads all of each, writes to it and checks it. Says on standard output what came of each, a line of
// JSON for one. Usage: node damage.mjs STORE-MODULE DIRECTORY...
import { writeSync } from "node:fs";

const [module, ...paths] = process.argv.slice(2);
const { openLmdbStore, checkStore, StoreError } = await import(module);

/** A refusal in the store's own words; any other error ends this process. */
const refusal = (step) => (error) => {
  if (!(error instanceof StoreError)) throw error;
  return { step, code: error.code, message: error.message };
};

async function look(path) {
  const store = await openLmdbStore({ path }).catch(refusal("open"));
  if (store.step) return { refused: store };
  try {
    const read = await store.list("/k/").catch(refusal("read"));
    if (read.step) return { refused: read };
    const written = await store
      .write([], [{ type: "put", key: "/after", value: Buffer.from("x") }])
      .catch(refusal("write"));
    const again = await store.list("/k/").catch(refusal("read"));
    const valuesOf = ({ items }) =>
      Object.fromEntries(items.map(({ key, value }) => [key, Buffer.from(value).toString("base64")]));
    return {
      read: valuesOf(read),
      written: written.ok ?? written,
      ...(again.step ? { later: again } : { again: valuesOf(again) }),
    };
  } finally {
    await store.close();
  }
}

for (const path of paths) {
  const checked = await checkStore(path).then(({ findings }) => ({ findings: findings.length }), refusal("check"));
  writeSync(1, `${JSON.stringify({ ...(await look(path)), checked })}\n`);
}
