import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { tearDown, type TestCluster, upCluster } from "../support/cluster.ts";
import { type Lab, noKernel, openLab, repository } from "../support/lab.ts";

const file = join(repository, "test/clients/javascript/tests.mjs");
const names = [...(await readFile(file, "utf8")).matchAll(/^ {2}async (?:"([^"]+)"|(\w+))\(\) \{/gm)].map(
  ([, quoted, plain]) => quoted ?? plain ?? "",
);

describe("@kubernetes/client-node", () => {
  let lab: Lab;
  let cluster: TestCluster;

  beforeAll(async () => {
    lab = await openLab(noKernel ? "unprivileged" : "root");
    cluster = await upCluster(lab);
  });

  afterAll(() => tearDown(lab, cluster));

  it.each(names)("%s", async (name) => {
    const environment = { KUBECONFIG: cluster.kubeconfig };
    const result = await lab.run(process.execPath, [file, name], { timeout: 170_000, env: environment });
    expect(result.code, `${result.stdout}\n${result.stderr}`.slice(-8000)).toBe(0);
  });
});
