import { cpSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Store } from "../store.ts";
import { checkStore } from "./check.ts";
import { openLmdbStore } from "./lmdb.ts";
import { snapshotLmdb } from "./snapshot.ts";
import { temporaryDirectory } from "./temporary.ts";
import { blockSize, decodeWal, type Change } from "./wal-format.ts";
import { openWal, readWal } from "./wal.ts";

let root: string;
let copies = 0;
beforeEach(() => {
  root = temporaryDirectory();
});
afterEach(() => rmSync(root, { recursive: true }));
const at = (name: string): string => join(root, name);

const put = (store: Store, key: string, value: string | Buffer) =>
  store.write([], [{ type: "put", key, value: Buffer.from(value) }]);

/** The store's files as they are now: what a process leaves behind that is killed. */
function killed(): string {
  const path = `${root}-${copies++}`;
  cpSync(root, path, { recursive: true });
  copied.push(path);
  return path;
}
const copied: string[] = [];
afterEach(() => {
  for (const path of copied.splice(0)) rmSync(path, { recursive: true });
});

async function stateOf(path: string): Promise<Record<string, string>> {
  const store = await openLmdbStore({ path });
  try {
    const { items } = await store.list("/");
    return Object.fromEntries(items.map(({ key, value }) => [key, Buffer.from(value).toString().slice(0, 20)]));
  } finally {
    await store.close();
  }
}

const failure = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  );

describe("after a kill", () => {
  test("what was acknowledged is there, also what has not reached the tables, again and again", async () => {
    const store = await openLmdbStore({ path: root });
    const wanted: Record<string, string> = {};
    // Some rounds of the log: values of half a block to some blocks.
    for (let i = 0; i < 600; i++) {
      const key = `/k/${i % 37}`;
      const value = `${i} ${"x".repeat((i * 97) % 9000)}`;
      await put(store, key, value);
      wanted[key] = value.slice(0, 20);
      if (i % 11 === 0) {
        await store.write([], [{ type: "delete", key: "/k/5" }]);
        delete wanted["/k/5"];
      }
      if (i % 120 === 119) {
        const path = killed();
        expect((await checkStore(path)).findings).toEqual([]);
        expect(await stateOf(path)).toEqual(wanted);
        expect(await checkStore(path)).toMatchObject({ findings: [], head: await store.revision() });
      }
    }
    await store.compact(await store.revision());
    const path = killed();
    const again = await openLmdbStore({ path });
    expect(await again.compacted()).toBe(await store.revision());
    await put(again, "/more", "1");
    await again.close();
    expect(await stateOf(path)).toEqual({ ...wanted, "/more": "1" });
    await store.close();
    expect(await stateOf(root)).toEqual(wanted);
  });

  test("a write of several keys is there as a whole or not at all, wherever the log ends", async () => {
    const store = await openLmdbStore({ path: root });
    for (let i = 1; i <= 4; i++) {
      const value = Buffer.from(`${i} ${"y".repeat(3000)}`);
      await store.write(
        [],
        [
          { type: "put", key: "/a", value },
          { type: "put", key: "/b", value },
        ],
      );
    }
    const whole = readFileSync(at("wal-0"));
    const end = readWal(root)[0]?.end ?? 0;
    expect(end).toBe(blockSize + 4 * 2 * blockSize);
    for (let length = blockSize; length <= end; length += 700) {
      const path = killed();
      // What follows is left from an earlier use, or was never written.
      const cut = Buffer.concat([whole.subarray(0, length), Buffer.alloc(end - length, length % 2)]);
      writeFileSync(join(path, "wal-0"), cut);
      const state = await stateOf(path);
      const written = Math.floor((length - blockSize) / (2 * blockSize));
      expect([written, written + 1]).toContain(Number((state["/a"] ?? "0").split(" ")[0]));
      expect(state["/b"]).toBe(state["/a"]);
      expect((await checkStore(path)).findings).toEqual([]);
    }
    await store.close();
  });

  test("others may look at the store meanwhile", async () => {
    const store = await openLmdbStore({ path: root });
    await put(store, "/a", "1");
    await put(store, "/b", "2");
    const snapshot = snapshotLmdb(root);
    expect(snapshot.revision).toBe(3);
    const keys: string[] = [];
    for await (const { key } of snapshot.items) keys.push(key);
    expect(keys).toEqual(["/a", "/b"]);
    await snapshot.close();
    await store.close();
  });
});

describe("a damaged log", () => {
  const filled = async (): Promise<string> => {
    const store = await openLmdbStore({ path: root });
    for (let i = 0; i < 6; i++) await put(store, `/k/${i}`, `value ${i}`);
    const path = killed();
    await store.close();
    return path;
  };
  const turn = (file: string, position: number): void => {
    const bytes = readFileSync(file);
    bytes[position] = (bytes[position] ?? 0) ^ 4;
    writeFileSync(file, bytes);
  };

  test.each([
    ["its header", 8, /header is no header/],
    ["a group that others follow", 2 * blockSize + 60, /no sound group, but one follows/],
    ["the head of a group that others follow", blockSize + 2, /no sound group, but one follows/],
  ])("in %s is told", async (_, position, message) => {
    const path = await filled();
    turn(join(path, "wal-0"), position);
    for (const look of [openLmdbStore({ path }), checkStore(path)]) {
      const error = await failure(look);
      expect(error).toMatchObject({ code: "CORRUPT", message: expect.stringMatching(message) as string });
      expect((error as Error).message).toContain("wal-0");
    }
  });

  test("in what the tables have already does no harm", async () => {
    await filled();
    turn(at("wal-0"), 2 * blockSize + 60);
    expect(Object.keys(await stateOf(root))).toHaveLength(6);
  });

  test("of which a part is missing is told", async () => {
    const store = await openLmdbStore({ path: root });
    for (let i = 0; i < 3; i++) await put(store, `/k/${i}`, Buffer.alloc(1_000_000, 1));
    await store.close();
    const wal = openWal(root, { noFsync: true, last: undefined, generation: 99 });
    await wal.append([{ table: "meta", key: Buffer.from("x"), value: Buffer.from("y") }]);
    wal.close();
    expect(await failure(openLmdbStore({ path: root }))).toMatchObject({
      code: "CORRUPT",
      message: expect.stringMatching(/part \d+ of its write-ahead log is missing/) as string,
    });
  });

  test("of any form is an error or a shorter log, never other changes", async () => {
    const path = await filled();
    const file = join(path, "wal-0");
    const good = readFileSync(file);
    const { groups } = decodeWal(good, "good") ?? { groups: [] };
    expect(groups).toHaveLength(6);
    const used = 7 * blockSize;
    for (let i = 0; i < 1000; i++) {
      const bytes = Buffer.from(good.subarray(0, used + blockSize));
      const position = (i * 7919) % used;
      bytes[position] = (bytes[position] ?? 0) ^ (1 << (i % 8));
      let found;
      try {
        found = decodeWal(bytes, "bad");
      } catch (error) {
        expect(error).toMatchObject({ code: "CORRUPT" });
        continue;
      }
      const seen = found?.groups ?? [];
      expect(seen).toEqual(groups.slice(0, seen.length));
      // Bytes between the groups may turn. Else only the last group may be taken for one that was not written to its end.
      if (seen.length < groups.length - 1) expect(found?.damage).toBeDefined();
    }
  });
});

test("a file is used again and takes the same room", async () => {
  const store = await openLmdbStore({ path: root });
  for (let i = 0; i < 40; i++) await put(store, `/k/${i % 3}`, Buffer.alloc(200_000, i));
  for (const name of ["wal-0", "wal-1"]) expect(statSync(at(name)).size).toBeLessThan(6 << 20);
  await store.close();
  expect((await checkStore(root)).findings).toEqual([]);
});

test("groups come back as they were appended, from the use that is asked for", async () => {
  const change = (i: number): Change => ({
    table: i % 2 ? "current" : "values",
    key: Buffer.from(`key ${i}`),
    value: i % 3 ? Buffer.alloc(i * 50, i) : undefined,
  });
  const first = openWal(root, { noFsync: true, last: undefined, generation: 4 });
  await first.append([change(1), change(2)]);
  await first.append([change(3)]);
  first.rotate();
  await first.append([change(100)]);
  first.close();
  const [older, newer] = readWal(root);
  expect(older).toMatchObject({ generation: 5, index: 0, groups: [[change(1), change(2)], [change(3)]] });
  expect(newer).toMatchObject({ generation: 6, index: 1, groups: [[change(100)]] });
  const second = openWal(root, { noFsync: true, last: newer, generation: 4 });
  await second.append([change(7)]);
  second.close();
  expect(readWal(root)[1]?.groups).toEqual([[change(100)], [change(7)]]);
});
