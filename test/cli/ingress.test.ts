import { mkdtemp, rm } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { systemCommands } from "../../src/system/index.ts";
import { startTestCluster } from "../../src/testing/index.ts";
import { repository } from "../support/lab.ts";

test("fairlead ingress ends when its status address is another's, after all that it has begun", async () => {
  const dir = await mkdtemp(join(tmpdir(), "fairlead-ingress-"));
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
  const cluster = await startTestCluster();
  try {
    const taken = `127.0.0.1:${(other.address() as AddressInfo).port}`;
    const args = [
      "ingress",
      "--kubeconfig",
      cluster.kubeconfigFile,
      "--address",
      "127.0.0.1",
      "--status-address",
      taken,
    ];
    const ports = ["--http-port", "0", "--https-port", "0", "--control-socket", join(dir, "control.sock")];
    const { code, stderr } = await systemCommands.run(
      process.execPath,
      [join(repository, "fairlead"), ...args, ...ports],
      { timeout: 60_000 },
    );
    expect(stderr).toContain(`--status-address ${taken}: EADDRINUSE`);
    expect(code).toBe(10);
  } finally {
    await cluster.stop();
    other.close();
    await rm(dir, { recursive: true, force: true });
  }
});
