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

  test("data and the page that points to it are on disk before a write is acknowledged", () => {
    const lines = trace("alone", `for (let i = 0; i < 20; i++) { await put("/a", String(i)); writeSync(1, "ACK"); }`);
    const synchronous = lines.find((line) => line.includes("data.mdb") && line.includes("O_DSYNC"));
    const metaPages = /= (\d+)$/.exec(synchronous ?? "")?.[1];
    expect(metaPages).toBeDefined();
    const marks = lines.flatMap((line, i) => (said("BEGIN")(line) || said("ACK")(line) ? [i] : []));
    expect(marks).toHaveLength(21);
    for (const [round, end] of marks.slice(1).entries()) {
      const between = lines.slice(marks[round], end);
      const data = between.findIndex((line) => /fdatasync.*= 0/.test(line));
      const meta = between.findIndex((line) => line.includes(`pwrite64(${metaPages},`));
      expect(data).toBeGreaterThan(0);
      expect(meta).toBeGreaterThan(data);
    }
  });

  test("writes that come together share a sync", () => {
    const lines = trace("together", `await Promise.all(Array.from({ length: 200 }, (_, i) => put("/" + i, "x")));`);
    const between = lines.slice(lines.findIndex(said("BEGIN")), lines.findIndex(said("END")));
    const syncs = between.filter((line) => line.includes("fdatasync(")).length;
    expect(syncs).toBeGreaterThan(0);
    expect(syncs).toBeLessThanOrEqual(4);
  });
});
