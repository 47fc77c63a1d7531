import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { systemCommands } from "../../src/system/index.ts";
import { type Lab, openLab, repository } from "../support/lab.ts";
import { missing } from "../clients/toolchains.ts";

const why = await missing("go", ["version"], "apt-get install golang-go, or see go.dev");

describe("the examples for authors of controllers", () => {
  let lab: Lab;

  beforeAll(async () => {
    lab = await openLab("unprivileged");
  });

  afterAll(() => lab.close());

  // Not in the lab: they run as whoever runs these tests, and stay on loopback.
  it("TypeScript: its tests pass", async () => {
    const folder = join(repository, "examples/controller-tests/typescript");
    const vitest = join(repository, "node_modules/vitest/vitest.mjs");
    const result = await systemCommands.run(process.execPath, [vitest, "run", "--root", folder]);
    expect(result.code, result.stdout + result.stderr).toBe(0);
  });

  it.skipIf(why)(
    `Go: its tests pass${why ? ` (skipped: ${why})` : ""}`,
    async () => {
      // Not in the lab: libraries are fetched, and compiled into the cache of who runs the tests.
      const folder = join(repository, "examples/controller-tests/go");
      const environment = { FAIRLEAD: join(repository, "fairlead") };
      const result = await systemCommands.run("go", ["test", "-C", folder, "-count=1", "./..."], {
        timeout: 900_000,
        env: environment,
      });
      expect(result.code, result.stdout + result.stderr).toBe(0);
    },
    1_000_000,
  );

  it("`fairlead test-cluster` ends with its standard input", async () => {
    const command = `sleep 3 | ${process.execPath} ${join(repository, "fairlead")} test-cluster`;
    const result = await lab.run("sh", ["-c", command]);
    expect(result.code, result.stderr).toBe(0);
    expect(JSON.parse(result.stdout)).toMatchObject({ server: expect.stringMatching(/^https:\/\/127\.0\.0\.1:\d+$/) });
  });

  it("`--no-fsync` says loudly what it is", async () => {
    const command = `sleep 3 | ${process.execPath} ${join(repository, "fairlead")} test-cluster --dir ${lab.dir}/state --no-fsync`;
    const result = await lab.run("sh", ["-c", command]);
    expect(result.code, result.stderr).toBe(0);
    expect(result.stderr).toContain("FOR TESTS ONLY");
  });
});
