import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { checkStore, openLmdbStore } from "../../src/store/index.ts";
import { compileStore } from "./compiled.ts";

const path = mkdtempSync(join(tmpdir(), "fairlead-kill-"));
let compiled: ReturnType<typeof compileStore>;
beforeAll(() => {
  compiled = compileStore();
});
afterAll(() => {
  compiled.remove();
  rmSync(path, { recursive: true });
});

const rounds = 50;

/** Runs the writer for so many milliseconds, kills it, and returns what it was told is stored: key -> count and revision. */
async function writeAndKill(milliseconds: number): Promise<Map<string, { count: number; revision: number }>> {
  const writer = spawn(process.execPath, [join(import.meta.dirname, "writer.mjs"), compiled.index, path, "16"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  const opened = new Promise<void>((resolve) => {
    writer.stdout.on("data", (chunk: Buffer) => {
      output += chunk.toString();
      resolve();
    });
  });
  const ended = new Promise<NodeJS.Signals | null>((resolve) => writer.on("close", (_, signal) => resolve(signal)));
  await Promise.race([opened, ended]);
  await sleep(milliseconds);
  writer.kill("SIGKILL");
  expect(await ended).toBe("SIGKILL");
  const acknowledged = new Map<string, { count: number; revision: number }>();
  for (const line of output.split("\n").slice(0, -1)) {
    const [key = "", count, revision] = line.split(" ");
    if (key.startsWith("/")) acknowledged.set(key, { count: Number(count), revision: Number(revision) });
  }
  return acknowledged;
}

test(`killed ${rounds} times at random moments, every acknowledged write is there and the store is sound`, async () => {
  let total = 0;
  for (let round = 0; round < rounds; round++) {
    const acknowledged = await writeAndKill(Math.random() * 120);
    total += acknowledged.size;
    const store = await openLmdbStore({ path });
    for (const [key, { count, revision }] of acknowledged) {
      const { item } = await store.get(key);
      const { item: twin } = await store.get(`${key}/twin`);
      const found = Number(
        Buffer.from(item?.value ?? [])
          .toString()
          .split(" ")[0],
      );
      // One more may have been written that nobody was told of.
      expect([count, count + 1]).toContain(found);
      if (found === count) expect(item?.modRevision).toBe(revision);
      else expect(item?.modRevision).toBeGreaterThan(revision);
      expect(twin?.modRevision).toBe(item?.modRevision);
      expect(Buffer.compare(twin?.value ?? Buffer.alloc(0), item?.value ?? Buffer.alloc(0))).toBe(0);
    }
    await store.close();
    expect((await checkStore(path)).findings).toEqual([]);
  }
  expect(total).toBeGreaterThan(rounds);
});
