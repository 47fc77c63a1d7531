import { spawnSync } from "node:child_process";
import {
  closeSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  truncateSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openLmdbStore } from "../../src/store/index.ts";
import { randomFrom } from "../fuzz/random.ts";
import { compileStore } from "./compiled.ts";

// A store's file on a failing disk: bits that turned, pages that are zero, another page or nothing of sense, an end that is missing. What comes of it
// is what was written, or an error in the store's words; never other data, and never a process that dies. More of it: DAMAGE_ROUNDS=1000.

const rounds = Number(process.env["DAMAGE_ROUNDS"] ?? 96);
/** Stores that one process looks at. */
const atOnce = 24;
const pageSize = 4096;
const base = mkdtempSync(join(tmpdir(), "fairlead-damage-"));
const good = join(base, "good");
const wanted: Record<string, string> = {};
let compiled: ReturnType<typeof compileStore>;

beforeAll(async () => {
  compiled = compileStore();
  const store = await openLmdbStore({ path: good });
  for (let i = 0; i < 300; i++) {
    const key = `/k/${i % 200}`;
    // Some values take pages of their own.
    const value = Buffer.alloc(i % 7 === 0 ? 9000 : 300 + i, i);
    await store.write([], [{ type: "put", key, value }]);
    wanted[key] = value.toString("base64");
  }
  await store.compact(50);
  await store.close();
});
afterAll(() => {
  compiled.remove();
  rmSync(base, { recursive: true });
});

/** Pages that the newest meta page says are in use. */
function pagesOf(file: string): number {
  const head = readFileSync(file).subarray(0, 2 * pageSize);
  const lastPage = [0, pageSize].map((start) => Number(head.readBigUInt64LE(start + 144)));
  return Math.max(...lastPage) + 1;
}

type Random = ReturnType<typeof randomFrom>;

const damages: Readonly<Record<string, (file: string, descriptor: number, pages: number, random: Random) => string>> = {
  "a bit turned": (_, descriptor, pages, random) => {
    const at = random.below(pages * pageSize);
    const byte = Buffer.alloc(1);
    readSync(descriptor, byte, 0, 1, at);
    byte[0] = (byte[0] ?? 0) ^ (1 << random.below(8));
    writeSync(descriptor, byte, 0, 1, at);
    return `byte ${at}`;
  },
  "a page of zeroes": (_, descriptor, pages, random) => {
    const page = random.below(pages);
    writeSync(descriptor, Buffer.alloc(pageSize), 0, pageSize, page * pageSize);
    return `page ${page}`;
  },
  "a page without sense": (_, descriptor, pages, random) => {
    const page = random.below(pages);
    const noise = Buffer.from(Array.from({ length: pageSize }, () => random.below(256)));
    writeSync(descriptor, noise, 0, pageSize, page * pageSize);
    return `page ${page}`;
  },
  "another page": (_, descriptor, pages, random) => {
    const [from, to] = [random.below(pages), random.below(pages)];
    const page = Buffer.alloc(pageSize);
    readSync(descriptor, page, 0, pageSize, from * pageSize);
    writeSync(descriptor, page, 0, pageSize, to * pageSize);
    return `page ${from} at ${to}`;
  },
  "an end that is missing": (file, _, pages, random) => {
    const size = random.below(pages * pageSize);
    truncateSync(file, size);
    return `${size} bytes are left`;
  },
};

interface Looked {
  readonly refused?: { readonly step: string; readonly code: string; readonly message: string };
  readonly later?: { readonly code: string };
  readonly read?: Readonly<Record<string, string>>;
  readonly again?: Readonly<Record<string, string>>;
  readonly checked: { readonly findings?: number; readonly code?: string };
}

test(`${rounds} damaged files give what was written or say that they are damaged`, () => {
  const random = randomFrom(20);
  const file = join(good, "data.mdb");
  const pages = pagesOf(file);
  const kinds = Object.entries(damages);
  const copies = Array.from({ length: rounds }, (_, i) => {
    const path = join(base, `copy-${i}`);
    mkdirSync(path);
    const copy = join(path, "data.mdb");
    copyFileSync(file, copy);
    const descriptor = openSync(copy, "r+");
    const [name, damage] = kinds[i % kinds.length] ?? ["", () => ""];
    const what = `${name}: ${damage(copy, descriptor, pages, random)}`;
    closeSync(descriptor);
    return { path, what };
  });
  const outcomes = { right: 0, refused: 0, told: 0 };
  for (let i = 0; i < copies.length; i += atOnce) {
    const some = copies.slice(i, i + atOnce);
    const script = join(import.meta.dirname, "damage.mjs");
    const { stdout, stderr, status, signal } = spawnSync(
      process.execPath,
      [script, compiled.index, ...some.map(({ path }) => path)],
      { encoding: "utf8", maxBuffer: 1 << 30 },
    );
    const lines = stdout.split("\n").slice(0, -1);
    expect({ status, signal, stderr: stderr.slice(0, 2000), at: some[lines.length]?.what }).toEqual({
      status: 0,
      signal: null,
      stderr: "",
    });
    for (const [j, line] of lines.entries()) {
      const { refused, later, read, again, checked } = JSON.parse(line) as Looked;
      const what = some[j]?.what;
      if (refused) {
        outcomes.refused++;
        expect(["CORRUPT", "UNAVAILABLE"], what).toContain(refused.code);
        expect(refused.message.length, what).toBeGreaterThan(10);
        // Who looks after the store is told as much.
        expect(checked.code !== undefined || (checked.findings ?? 0) > 0, `${what} ${line}`).toBe(true);
      } else {
        outcomes.right++;
        expect(read, what).toEqual(wanted);
        if (!later) expect(again, what).toEqual(wanted);
      }
      if (checked.code !== undefined || (checked.findings ?? 0) > 0) outcomes.told++;
    }
  }
  // The damage was where it matters, and it was not everywhere.
  expect(outcomes.refused).toBeGreaterThan(rounds / 5);
  expect(outcomes.right).toBeGreaterThan(rounds / 10);
});

const mayLimit = spawnSync("prlimit", ["--version"]).status === 0;

test.skipIf(!mayLimit)(
  `a limit on the size of files fails writes, keeps what there is, and is over when it is lifted${mayLimit ? "" : " (skipped: needs prlimit)"}`,
  () => {
    const script = join(import.meta.dirname, "file-limit.mjs");
    const { stdout, stderr, status } = spawnSync(
      "prlimit",
      [`--fsize=${48 << 20}:unlimited`, process.execPath, script, compiled.index, join(base, "limited")],
      { encoding: "utf8" },
    );
    expect(status, stderr).toBe(0);
    const seen = JSON.parse(stdout) as { written: number; readable: number; keys: number };
    expect(seen.written).toBeGreaterThan(10);
    expect(seen).toMatchObject({
      code: "UNAVAILABLE",
      message: expect.stringContaining("nothing was written to the store") as string,
      readable: seen.written,
      after: true,
      findings: [],
    });
    expect(seen.keys).toBeGreaterThan(seen.written);
  },
);
