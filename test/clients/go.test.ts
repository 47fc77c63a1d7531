import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { tearDown, type TestCluster, upCluster } from "../support/cluster.ts";
import { type Lab, noKernel, openLab, repository } from "../support/lab.ts";
import { buildGoTests, missing } from "./toolchains.ts";

const folder = join(repository, "test/clients/go");
const why = await missing("go", ["version"], "apt-get install golang-go, or see go.dev");

/** The tests that the Go files declare. */
const names: string[] = [];
for (const file of await readdir(folder)) {
  if (!file.endsWith("_test.go")) continue;
  for (const [, name = ""] of (await readFile(join(folder, file), "utf8")).matchAll(/^func (Test\w+)\(/gm))
    names.push(name);
}

describe.skipIf(why)(`client-go 0.36 and controller-runtime 0.24${why ? ` (skipped: ${why})` : ""}`, () => {
  let lab: Lab;
  let cluster: TestCluster;
  let program: string;

  beforeAll(async () => {
    program = await buildGoTests(folder);
    lab = await openLab(noKernel ? "unprivileged" : "root");
    cluster = await upCluster(lab);
  }, 1_800_000);

  afterAll(() => tearDown(lab, cluster));

  it.each(names)("%s", async (name) => {
    const result = await lab.run(program, ["-test.run", `^${name}$`, "-test.v"], {
      timeout: 170_000,
      env: { KUBECONFIG: cluster.kubeconfig },
    });
    expect(result.code, `${result.stdout}\n${result.stderr}`.slice(-8000)).toBe(0);
    expect(result.stdout).toContain(`--- PASS: ${name}`);
  });
});
