import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compileStore } from "./compiled.ts";

const path = mkdtempSync(join(tmpdir(), "fairlead-sync-"));
const noStrace = spawnSync("strace", ["-o", "/dev/null", "true"]).status !== 0;

describe.skipIf(noStrace)(`system calls${noStrace ? " (skipped: strace cannot run here)" : ""}`, () => {
  let compiled: ReturnType<typeof compileStore>;
  beforeAll(() => {
    compiled = compileStore();
  });
  afterAll(() => {
    compiled.remove();
    rmSync(path, { recursive: true });
  });

  /** Runs statements on an open `store` and returns its system calls, one a line. */
  function trace(name: string, statements: string): string[] {
    const script = `
      import { writeSync } from "node:fs";
      import { openLmdbStore } from ${JSON.stringify(compiled.index)};
      const store = await openLmdbStore({ path: ${JSON.stringify(join(path, name))} });
      const put = (key, value) => store.write([], [{ type: "put", key, value: Buffer.from(value) }]);
      writeSync(1, "BEGIN");
      ${statements}
      writeSync(1, "END");
      await store.close();`;
    const file = join(path, `${name}.trace`);
    const calls = "trace=openat,fdatasync,pwrite64,pwritev,write";
    const node = [process.execPath, "--input-type=module", "-e", script];
    const result = spawnSync("strace", ["-f", "-e", calls, "-o", file, ...node], { timeout: 60_000 });
    expect(result.status, result.stderr.toString()).toBe(0);
    return readFileSync(file, "utf8").split("\n");
  }

  const said = (word: string) => (line: string) => line.includes(` write(1, "${word}"`);

  /** The descriptors of files with such a name that are written with O_DSYNC: what a write to them has returned is on disk. */
  const synchronous = (lines: readonly string[], name: string): string[] =>
    lines.flatMap((line) => {
      const opened = line.includes(name) && line.includes("O_DSYNC") ? /= (\d+)$/.exec(line)?.[1] : undefined;
      return opened === undefined ? [] : [opened];
    });
  /** Ends of system calls: with several threads a call may be told in two lines. */
  const written = (descriptors: readonly string[]) => (line: string) =>
    descriptors.some((descriptor) => line.includes(`pwrite64(${descriptor},`)) && !line.endsWith("<unfinished ...>");
  const resumed = (line: string): boolean => line.includes("<... pwrite64 resumed>");

  test("a write is on disk, in the write-ahead log, before it is acknowledged", () => {
    const lines = trace("alone", `for (let i = 0; i < 20; i++) { await put("/a", String(i)); writeSync(1, "ACK"); }`);
    const logs = synchronous(lines, "/wal-");
    expect(logs).toHaveLength(2);
    const marks = lines.flatMap((line, i) => (said("BEGIN")(line) || said("ACK")(line) ? [i] : []));
    expect(marks).toHaveLength(21);
    for (const [round, end] of marks.slice(1).entries()) {
      const between = lines.slice(marks[round], end);
      const began = between.findIndex((line) => logs.some((log) => line.includes(`pwrite64(${log},`)));
      expect(began).toBeGreaterThan(0);
      expect(between.slice(began).some((line) => written(logs)(line) || resumed(line))).toBe(true);
    }
  });

  test("what the log has goes to the tables: data first, then the page that points to it", () => {
    // More than the log takes, so that it begins anew.
    const lines = trace("moved", `for (let i = 0; i < 60; i++) await put("/a" + i, "x".repeat(50_000));`);
    const metaPages = synchronous(lines, "data.mdb");
    expect(metaPages).toHaveLength(1);
    const between = lines.slice(lines.findIndex(said("BEGIN")), lines.findIndex(said("END")));
    const meta = between.flatMap((line, i) => (line.includes(`pwrite64(${metaPages[0]},`) ? [i] : []));
    expect(meta.length).toBeGreaterThan(1);
    for (const [i, at] of meta.entries()) {
      expect(between.slice(meta[i - 1] ?? 0, at).some((line) => /fdatasync.*= 0/.test(line))).toBe(true);
    }
  });

  test("writes that come together share a sync", () => {
    const lines = trace("together", `await Promise.all(Array.from({ length: 200 }, (_, i) => put("/" + i, "x")));`);
    const between = lines.slice(lines.findIndex(said("BEGIN")), lines.findIndex(said("END")));
    const logs = synchronous(lines, "/wal-");
    const syncs = between.filter((line) => logs.some((log) => line.includes(`pwrite64(${log},`))).length;
    expect(syncs).toBeGreaterThan(0);
    expect(syncs).toBeLessThanOrEqual(4);
  });
});
