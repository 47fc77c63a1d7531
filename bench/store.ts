// Durable writes, reads and opening of the embedded store, each beside a bare baseline measured in the same run; and, where etcd is
// installed, conditional writes through the store in etcd beside bare puts of the same bytes from as many workers.
// Usage: npm run bench:store -- [--json] [--keys N]
import {
  closeSync,
  fdatasyncSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { createEtcdClient } from "../src/store/etcd/client.ts";
import { openEtcdStore, openLmdbStore, type Store } from "../src/store/index.ts";
import { startEtcd } from "./support/etcd.ts";

const { values: flags } = parseArgs({
  options: { json: { type: "boolean", default: false }, keys: { type: "string", default: "10000" } },
});
const keys = Number(flags.keys);
const directory = mkdtempSync(join(tmpdir(), "fairlead-bench-"));
const value = Buffer.alloc(1024, "x");

function report(name: string, figure: number, unit: string, baseline: number): void {
  const round = (number: number) => Number(number.toPrecision(4));
  const line = { name, value: round(figure), unit, baseline: round(baseline), ratio: round(figure / baseline) };
  if (flags.json) console.log(JSON.stringify(line));
  else console.log(`${name.padEnd(28)} ${line.value} ${unit} (baseline ${line.baseline}, ratio ${line.ratio})`);
}

/** How often a second `action` ends, over `count` times. */
async function rate(count: number, action: () => void | Promise<void>): Promise<number> {
  const begin = performance.now();
  await action();
  return (count * 1000) / (performance.now() - begin);
}

/** The floor: append and fdatasync, one after the other. */
function rawWrites(count: number): Promise<number> {
  const file = openSync(join(directory, "raw"), "w");
  return rate(count, () => {
    for (let i = 0; i < count; i++) {
      writeSync(file, value);
      fdatasyncSync(file);
    }
    closeSync(file);
  });
}

const keyOf = (i: number) => `/registry/services/specs/default/svc-${String(i).padStart(6, "0")}`;
const put = (store: Store, i: number) => store.write([], [{ type: "put", key: keyOf(i), value }]);

function median(figures: readonly number[]): number {
  return [...figures].sort((a, b) => a - b)[figures.length >> 1] ?? Number.NaN;
}

const path = join(directory, "store");
const store = await openLmdbStore({ path });
const rounds = 5;
const raw: number[] = [];
const single: number[] = [];
const concurrent: number[] = [];
// Interleaved, as the disk's own speed wanders.
for (let round = 0; round < rounds; round++) {
  raw.push(await rawWrites(300));
  single.push(
    await rate(300, async () => {
      for (let i = 0; i < 300; i++) await put(store, i);
    }),
  );
  concurrent.push(
    await rate(64 * 30, async () => {
      const writer = async (w: number) => {
        for (let i = 0; i < 30; i++) await put(store, w * 30 + i);
      };
      await Promise.all(Array.from({ length: 64 }, (_, w) => writer(w)));
    }),
  );
}
report("store.write.sequential", median(single), "writes/s", median(raw));
report("store.write.64-writers", median(concurrent), "writes/s", median(raw));

for (let i = 0; i < keys; i += 500) {
  await Promise.all(Array.from({ length: Math.min(500, keys - i) }, (_, j) => put(store, i + j)));
}
const plain = new Map(Array.from({ length: keys }, (_, i) => [keyOf(i), value]));
const plainGet = await rate(keys, () => {
  for (let i = 0; i < keys; i++) if (!plain.get(keyOf(i))) throw new Error("missing");
});
const get = await rate(keys, async () => {
  for (let i = 0; i < keys; i++) await store.get(keyOf(i));
});
report("store.get", get, "gets/s", plainGet);
const plainList = await rate(keys, () => void [...plain].sort(([a], [b]) => (a < b ? -1 : 1)));
const list = await rate(keys, async () => void (await store.list("/registry/")));
report("store.list", list, "keys/s", plainList);
await store.close();

// To hold the state in memory instead, a start would have to read all of it.
writeFileSync(join(directory, "raw"), Buffer.alloc(keys * value.byteLength));
const beginRead = performance.now();
readFileSync(join(directory, "raw"));
const readAll = performance.now() - beginRead;
const begin = performance.now();
const again = await openLmdbStore({ path });
await again.get(keyOf(0));
report("store.open", performance.now() - begin, "ms", readAll);
await again.close();
rmSync(directory, { recursive: true });
await benchEtcd();

/** Against one member with its data on this disk. */
async function benchEtcd(): Promise<void> {
  const data = mkdtempSync(join(tmpdir(), "fairlead-bench-etcd-"));
  const etcd = await startEtcd(data);
  const { url, ended } = etcd;
  try {
    const opened = await Promise.race([openWhenReady(url), ended]);
    if (typeof opened === "string") {
      console.error(`bench: without etcd: ${opened}`);
      return;
    }
    const bare = createEtcdClient({ endpoints: [url] });
    let next = 0;
    const workersOf = (count: number, each: number, action: (key: string) => Promise<unknown>) =>
      rate(count * each, async () => {
        const worker = async () => {
          for (let i = 0; i < each; i++) await action(keyOf(next++));
        };
        await Promise.all(Array.from({ length: count }, worker));
      });
    for (const [count, each] of [
      [1, 300],
      [16, 100],
      [64, 50],
    ] as const) {
      const puts: number[] = [];
      const transactions: number[] = [];
      const writes: number[] = [];
      for (let round = 0; round < rounds; round++) {
        puts.push(await workersOf(count, each, (key) => bare.call("Put", { key: Buffer.from(key), value }, "write")));
        // What etcd itself takes for "only if it does not exist": before 3.5 each transaction copies what is not on disk yet.
        transactions.push(
          await workersOf(count, each, (name) => {
            const key = Buffer.from(name);
            const compare = [{ result: 0, target: 2, key, mod_revision: 0 }];
            return bare.call("Txn", { compare, success: [{ request_put: { key, value } }] }, "write");
          }),
        );
        writes.push(
          await workersOf(count, each, (key) => opened.write([{ key, modRevision: 0 }], [{ type: "put", key, value }])),
        );
      }
      report(`store.etcd.create.${count}-workers`, median(writes), "writes/s", median(puts));
      report(`store.etcd.create.${count}-workers.txn`, median(writes), "writes/s", median(transactions));
    }
    bare.close();
    await opened.close();
  } finally {
    await etcd.end();
    rmSync(data, { recursive: true });
  }
}

async function openWhenReady(url: string): Promise<Store> {
  for (let tries = 0; ; tries++) {
    try {
      return await openEtcdStore({ endpoints: [url], timeout: 500 });
    } catch (error) {
      if (tries === 20) throw error;
    }
  }
}
