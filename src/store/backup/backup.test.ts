import { describe, expect, test } from "vitest";
import { createMemoryStore } from "../memory/memory.ts";
import { emptyStore, fillStore, snapshotOf } from "./copy.ts";
import { decodeBackup, encodeBackup, type BackupItem } from "./format.ts";

const header = { revision: 42, taken: "2026-01-01T00:00:00.000Z" };
const some: BackupItem[] = [
  { key: "/a", value: Buffer.from("1") },
  { key: "/b", value: new Uint8Array(0) },
  { key: "/é", value: Uint8Array.from({ length: 3000 }, (_, i) => i) },
];

async function bytesOf(items: readonly BackupItem[] = some): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of encodeBackup(header, items)) parts.push(part);
  return Buffer.concat(parts);
}

async function* inChunks(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function readAll(bytes: Uint8Array, size = 7): Promise<{ revision: number; items: BackupItem[] }> {
  const backup = await decodeBackup(inChunks(bytes, size));
  const items: BackupItem[] = [];
  for await (const item of backup.items) items.push(item);
  return { revision: backup.header.revision, items };
}

/** Small, and the same in every run. */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

describe("a backup", () => {
  test.each([1, 7, 4096])("comes back as it was, in chunks of %i bytes", async (size) => {
    const { revision, items } = await readAll(await bytesOf(), size);
    expect(revision).toBe(42);
    expect(items.map(({ key, value }) => [key, [...value]])).toEqual(some.map(({ key, value }) => [key, [...value]]));
    expect((await readAll(await bytesOf([]), size)).items).toEqual([]);
  });

  test("cut off anywhere is refused", async () => {
    const bytes = await bytesOf(some.slice(0, 2));
    for (let length = 0; length < bytes.length; length++)
      await expect(readAll(bytes.subarray(0, length))).rejects.toMatchObject({ code: "CORRUPT" });
    await expect(readAll(Buffer.concat([bytes, Buffer.from([0])]))).rejects.toMatchObject({ code: "CORRUPT" });
  });

  test("with any bit changed is refused", async () => {
    const bytes = await bytesOf(some.slice(0, 2));
    for (let i = 0; i < bytes.length * 8; i++) {
      const changed = Buffer.from(bytes);
      changed[i >> 3] = (changed[i >> 3] ?? 0) ^ (1 << (i & 7));
      await expect(readAll(changed, 64)).rejects.toMatchObject({ code: "CORRUPT" });
    }
  });

  test("of random bytes is refused, in bounded memory", async () => {
    const random = randomNumbers(7);
    const good = await bytesOf();
    for (let round = 0; round < 500; round++) {
      const bytes = Buffer.from(good);
      const from = 9 + Math.floor(random() * (bytes.length - 9));
      for (let i = from; i < Math.min(from + 40, bytes.length); i++) bytes[i] = Math.floor(random() * 256);
      await expect(readAll(bytes, 512)).rejects.toMatchObject({ code: "CORRUPT" });
    }
  });

  test("with keys out of order is refused", async () => {
    await expect(readAll(await bytesOf([...some].reverse()))).rejects.toMatchObject({ code: "CORRUPT" });
  });
});

describe("copying a store", () => {
  test("takes one revision, whatever is written meanwhile", async () => {
    const from = createMemoryStore();
    for (let i = 0; i < 1200; i++)
      await from.write([], [{ type: "put", key: `/k/${String(i).padStart(5, "0")}`, value: Buffer.from("old") }]);
    const snapshot = await snapshotOf(from);
    const to = createMemoryStore();
    let seen = 0;
    async function* slowly(): AsyncGenerator<BackupItem> {
      for await (const item of snapshot.items) {
        if (seen++ === 10) {
          await from.write([], [{ type: "delete", key: "/k/01100" }]);
          await from.write([], [{ type: "put", key: "/k/01101", value: Buffer.from("new") }]);
        }
        yield item;
      }
    }
    const told: number[] = [];
    expect(await fillStore(to, slowly(), { progress: (count) => told.push(count) })).toBe(1200);
    expect(told.at(-1)).toBe(1200);
    const { items } = await to.list("");
    expect(items.map(({ key, value }) => `${key}=${Buffer.from(value).toString()}`)).toEqual(
      Array.from({ length: 1200 }, (_, i) => `/k/${String(i).padStart(5, "0")}=old`),
    );
    expect(await emptyStore(to)).toBe(1200);
    expect((await to.list("")).items).toEqual([]);
  });

  test("writes over nothing", async () => {
    const to = createMemoryStore();
    await to.write([], [{ type: "put", key: "/b", value: Buffer.from("mine") }]);
    await expect(fillStore(to, some)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(Buffer.from((await to.get("/b")).item?.value ?? []).toString()).toBe("mine");
  });
});
