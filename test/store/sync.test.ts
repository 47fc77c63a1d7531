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

  test("data and the page that points to it are on disk before a write is acknowledged", () => {
    const script = `
      import { writeSync } from "node:fs";
      import { openLmdbStore } from ${JSON.stringify(compiled.index)};
      const store = await openLmdbStore({ path: ${JSON.stringify(join(path, "store"))} });
      writeSync(1, "BEGIN");
      for (let i = 0; i < 20; i++) {
        await store.write([], [{ type: "put", key: "/a", value: Buffer.from(String(i)) }]);
        writeSync(1, "ACK");
      }
      await store.close();`;
    const trace = join(path, "trace");
    const calls = "trace=openat,fdatasync,pwrite64,pwritev,write";
    const node = [process.execPath, "--input-type=module", "-e", script];
    const result = spawnSync("strace", ["-f", "-e", calls, "-o", trace, ...node], { timeout: 60_000 });
    expect(result.status, result.stderr.toString()).toBe(0);
    const lines = readFileSync(trace, "utf8").split("\n");
    const synchronous = lines.find((line) => line.includes("data.mdb") && line.includes("O_DSYNC"));
    const metaPages = /= (\d+)$/.exec(synchronous ?? "")?.[1];
    expect(metaPages).toBeDefined();
    const acknowledged = lines.flatMap((line, i) => (/ write\(1, "(BEGIN|ACK)"/.test(line) ? [i] : []));
    expect(acknowledged).toHaveLength(21);
    for (const [round, end] of acknowledged.slice(1).entries()) {
      const between = lines.slice(acknowledged[round], end);
      const data = between.findIndex((line) => /fdatasync.*= 0/.test(line));
      const meta = between.findIndex((line) => line.includes(`pwrite64(${metaPages},`));
      expect(data).toBeGreaterThan(0);
      expect(meta).toBeGreaterThan(data);
    }
  });
});
