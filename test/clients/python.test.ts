import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { tearDown, type TestCluster, upCluster } from "../support/cluster.ts";
import { type Lab, noKernel, openLab, repository } from "../support/lab.ts";
import { installPython, missing } from "./toolchains.ts";

const file = join(repository, "test/clients/python/test_kubernetes.py");
const why = await missing("python3", ["-m", "pip", "--version"], "apt-get install python3-pip");
const names = [...(await readFile(file, "utf8")).matchAll(/^ {4}def (test_\w+)\(/gm)].map(([, name = ""]) => name);

describe.skipIf(why)(`Python's kubernetes client${why ? ` (skipped: ${why})` : ""}`, () => {
  let lab: Lab;
  let cluster: TestCluster;
  let packages: string;

  beforeAll(async () => {
    packages = await installPython(["kubernetes==36.0.3"]);
    lab = await openLab(noKernel ? "unprivileged" : "root");
    cluster = await upCluster(lab);
  }, 600_000);

  afterAll(() => tearDown(lab, cluster));

  it.each(names)("%s", async (name) => {
    const result = await lab.run("python3", [file, `Cluster.${name}`], {
      timeout: 170_000,
      env: { KUBECONFIG: cluster.kubeconfig, PYTHONPATH: packages, PYTHONDONTWRITEBYTECODE: "1" },
    });
    expect(result.code, result.stderr.slice(-8000)).toBe(0);
  });
});
