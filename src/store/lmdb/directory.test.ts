import {
  closeSync,
  openSync,
  readFileSync,
  readSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { StoreError, type Store } from "../store.ts";
import { checkStore } from "./check.ts";
import { openLmdbStore } from "./lmdb.ts";
import { encodeCurrent, encodeLog, encodeNumber, encodePosition, seal } from "./records.ts";
import { metaKeys, openTables, type Tables } from "./tables.ts";
import { temporaryDirectory } from "./temporary.ts";

let root: string;
let path: string;
beforeEach(() => {
  root = temporaryDirectory();
  path = root;
});
afterEach(() => rmSync(root, { recursive: true }));

async function fill(store: Store, count: number): Promise<void> {
  const write = (i: number) =>
    store.write([], [{ type: "put", key: `/k/${i % 10}`, value: Buffer.from(`value ${i}`) }]);
  await Promise.all(Array.from({ length: count }, (_, i) => write(i)));
  await store.write([], [{ type: "delete", key: "/k/3" }]);
}

async function filled(count = 30): Promise<void> {
  const store = await openLmdbStore({ path });
  await fill(store, count);
  await store.close();
}

async function openError(): Promise<StoreError> {
  const error: unknown = await openLmdbStore({ path }).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(StoreError);
  expect((error as StoreError).message).not.toContain("\n");
  return error as StoreError;
}

test("what was written is there after opening again, with its history", async () => {
  await filled();
  const store = await openLmdbStore({ path });
  expect(await store.revision()).toBe(32);
  expect((await store.list("/k/")).items).toHaveLength(9);
  const old = await store.get("/k/3", { revision: 31 });
  expect(Buffer.from(old.item?.value ?? []).toString()).toBe("value 23");
  const seen: number[] = [];
  for await (const batch of store.watch("/k/", { fromRevision: 2 })) {
    seen.push(...batch.events.map((event) => event.revision));
    if (batch.revision === 32) break;
  }
  expect(seen).toEqual(Array.from({ length: 31 }, (_, i) => i + 2));
  await store.close();
});

test("compaction forgets the values that nothing needs and survives opening again", async () => {
  const store = await openLmdbStore({ path });
  await fill(store, 1000);
  await store.compact(1000);
  expect(await checkStore(path)).toMatchObject({ compacted: 1000, revisions: 3, keys: 9, findings: [] });
  await store.close();
  const again = await openLmdbStore({ path });
  await expect(again.get("/k/1", { revision: 999 })).rejects.toMatchObject({ code: "COMPACTED" });
  expect((await again.get("/k/1", { revision: 1000 })).item?.modRevision).toBe(993);
  await again.close();
});

test("a second opening is refused while the first holds the directory, and may follow it", async () => {
  const store = await openLmdbStore({ path });
  expect(await openError()).toMatchObject({
    code: "UNAVAILABLE",
    message: expect.stringContaining(`in use by process ${process.pid}`) as string,
  });
  await store.close();
  await (await openLmdbStore({ path })).close();
});

test("a signal closes it", async () => {
  const stop = new AbortController();
  const store = await openLmdbStore({ path, signal: stop.signal });
  stop.abort();
  await expect(store.get("/a")).rejects.toMatchObject({ code: "CLOSED" });
  await store.close();
  await (await openLmdbStore({ path })).close();
});

test("the directory is made, for its owner only", async () => {
  path = join(path, "a", "b");
  await (await openLmdbStore({ path })).close();
  expect(statSync(path).mode & 0o777).toBe(0o700);
});

describe("a directory that holds no sound store gets one clear error", () => {
  test("a file in its place", async () => {
    const file = join(path, "file");
    writeFileSync(file, "hello");
    path = file;
    expect((await openError()).code).toBe("UNAVAILABLE");
    expect(readFileSync(file, "utf8")).toBe("hello");
  });

  test.each([
    ["nothing in it", ""],
    ["text in it", "this is not a database, it is a poem\n".repeat(400)],
    ["zeros in it", "\0".repeat(100_000)],
  ])("data.mdb with %s", async (_, content) => {
    writeFileSync(join(path, "data.mdb"), content);
    const error = await openError();
    expect(error).toMatchObject({ code: "CORRUPT", message: expect.stringContaining("data.mdb") as string });
    expect(readFileSync(join(path, "data.mdb"), "utf8")).toBe(content);
    await expect(checkStore(path)).rejects.toMatchObject({ code: "CORRUPT" });
  });

  test("another format", async () => {
    await filled();
    await edit((tables) => tables.meta.put(metaKeys.format, encodeNumber(99)));
    expect((await openError()).message).toContain("has format 99");
  });

  test.each([0.1, 0.5, 0.9])("a file of which only %f is there", async (part) => {
    await filled(300);
    const file = join(path, "data.mdb");
    const size = Math.floor(usedBytes(file) * part);
    truncateSync(file, size);
    expect((await openError()).message).toMatch(/its end is missing$/);
    expect(statSync(file).size).toBe(size);
    await expect(checkStore(path)).rejects.toMatchObject({ code: "CORRUPT" });
  });

  test("a check of a directory without a store makes none", async () => {
    await expect(checkStore(path)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(readdirSync(path)).toEqual([]);
  });
});

/** What LMDB's newest meta page says. */
function usedBytes(file: string): number {
  const content = Buffer.alloc(8192);
  const descriptor = openSync(file, "r");
  readSync(descriptor, content);
  closeSync(descriptor);
  const lastPage = (meta: number) => Number(content.readBigUInt64LE(meta + 144));
  return (Math.max(lastPage(0), lastPage(4096)) + 1) * 4096;
}

test("the file always reaches beyond what is used, without taking the room", async () => {
  const store = await openLmdbStore({ path });
  const file = join(path, "data.mdb");
  for (let i = 0; i < 30; i++) {
    await store.write([], [{ type: "put", key: `/large/${i % 3}`, value: Buffer.alloc(1_000_000, i) }]);
    if (i % 5 === 0) await store.compact(await store.revision());
    expect(statSync(file).size).toBeGreaterThan(usedBytes(file) + (1 << 20));
  }
  await store.close();
  expect(statSync(file).blocks * 512).toBeLessThan(usedBytes(file) + (1 << 20));
});

async function edit(change: (tables: Tables) => void): Promise<void> {
  const tables = openTables(path, { readOnly: false });
  tables.root.transactionSync(() => change(tables));
  await tables.root.close();
}

describe("check", () => {
  beforeEach(() => filled());

  test("finds nothing in a sound store, also beside the process that has it open", async () => {
    const store = await openLmdbStore({ path });
    expect(await checkStore(path)).toMatchObject({ head: 32, compacted: 1, keys: 9, revisions: 32, findings: [] });
    await fill(store, 5);
    expect((await checkStore(path)).findings).toEqual([]);
    await store.close();
  });

  test.each<[string, (tables: Tables) => void, RegExp]>([
    ["a value lost", ({ values }) => values.remove(encodePosition({ revision: 31, ordinal: 0 })), /31\/0 is missing/],
    [
      "a value changed",
      ({ values }) => {
        const sealed = seal(Buffer.from("value"));
        sealed[6] = 0;
        values.put(encodePosition({ revision: 30, ordinal: 0 }), sealed);
      },
      /30\/0 has a wrong checksum/,
    ],
    [
      "a value that nothing refers to",
      ({ values }) => values.put(encodePosition({ revision: 20, ordinal: 9 }), seal(Buffer.from("x"))),
      /no key and no revision refers/,
    ],
    ["a revision lost", ({ log }) => log.remove(encodeNumber(9)), /9 is missing/],
    ["a key lost", ({ current }) => current.remove(Buffer.from("/k/1")), /is missing, but revision 23 wrote it/],
    [
      "a key back from the dead",
      ({ current }) => current.put(Buffer.from("/k/3"), encodeCurrent({ revision: 25, ordinal: 0, createRevision: 5 })),
      /revision 32 deleted it/,
    ],
    [
      "a key at an old value",
      ({ current }) => current.put(Buffer.from("/k/1"), encodeCurrent({ revision: 13, ordinal: 0, createRevision: 3 })),
      /the log says value 23\/0/,
    ],
    [
      "a key from the future",
      ({ current }) =>
        current.put(Buffer.from("/new"), encodeCurrent({ revision: 99, ordinal: 0, createRevision: 99 })),
      /99, but 32 is the newest/,
    ],
    [
      "a log that contradicts itself",
      ({ log }) => log.put(encodeNumber(23), encodeLog([{ type: "put", key: "/k/1", createRevision: 3 }])),
      /replaces nothing, but value 13\/0 was there/,
    ],
    [
      "a damaged log",
      ({ log }) => log.put(encodeNumber(23), Buffer.from("damaged")),
      /revision 23 of the log has a wrong checksum/,
    ],
  ])("finds %s", async (_, change, problem) => {
    await edit(change);
    const { findings } = await checkStore(path);
    expect(findings.map((finding) => `${finding.at}: ${finding.problem}`).join("\n")).toMatch(problem);
  });

  test("a damaged value is an error for its readers only", async () => {
    await edit(({ values }) => values.put(encodePosition({ revision: 31, ordinal: 0 }), Buffer.from("damaged")));
    const store = await openLmdbStore({ path });
    await expect(store.get("/k/9")).rejects.toMatchObject({ code: "CORRUPT" });
    expect((await store.get("/k/8")).item).toBeDefined();
    const [failed, written] = await Promise.allSettled([
      store.write([], [{ type: "put", key: "/k/9", value: Buffer.from("new") }]),
      store.write([], [{ type: "put", key: "/k/8", value: Buffer.from("new") }]),
    ]);
    expect(failed).toMatchObject({ status: "rejected", reason: { code: "CORRUPT" } });
    expect(written).toEqual({ status: "fulfilled", value: { ok: true, revision: 33 } });
    await store.close();
  });
});
