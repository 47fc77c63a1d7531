import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import { createHttpClient, loadKubeconfig } from "../client/index.ts";
import { isStatus, resources } from "../kube/index.ts";
import type * as published from "../../testing.d.ts";
import { startTestCluster, type TestCluster, type TestClusterOptions } from "./test-cluster.ts";

const running: TestCluster[] = [];
const start = async (options?: TestClusterOptions): Promise<TestCluster> => {
  const cluster = await startTestCluster(options);
  running.push(cluster);
  return cluster;
};
const clientOf = async ({ kubeconfigFile }: TestCluster) =>
  createHttpClient(await loadKubeconfig({ path: kubeconfigFile }));

afterEach(async () => {
  await Promise.all(running.splice(0).map((cluster) => cluster.stop()));
});

// The types that users get: a difference is an error of the compiler.
startTestCluster satisfies typeof published.startTestCluster;

it("answers as soon as it is started", async () => {
  const client = await clientOf(await start());
  const metadata = { name: "a", namespace: "default" };
  await client.create(resources.ConfigMap, { metadata, data: { k: "v" } });
  expect((await client.get(resources.ConfigMap, metadata)).data).toEqual({ k: "v" });
});

it("runs beside others, which do not see its objects", async () => {
  const clients = await Promise.all((await Promise.all([start(), start(), start()])).map(clientOf));
  const metadata = { name: "mine", namespace: "default" };
  await clients[0]?.create(resources.ConfigMap, { metadata });
  for (const other of clients.slice(1))
    await expect(other.get(resources.ConfigMap, metadata)).rejects.toSatisfy((e) => isStatus(e, "NotFound"));
});

it("has controllers: a namespace ends", async () => {
  const client = await clientOf(await start());
  await client.create(resources.Namespace, { metadata: { name: "gone" }, spec: {} });
  await client.create(resources.ConfigMap, { metadata: { name: "a", namespace: "gone" } });
  await client.delete(resources.Namespace, { name: "gone" });
  await expect
    .poll(
      async () => client.get(resources.Namespace, { name: "gone" }).catch((e: unknown) => isStatus(e, "NotFound")),
      {
        timeout: 15_000,
      },
    )
    .toBe(true);
});

it("keeps its state in a directory where one is given, also without waiting for the disk", async () => {
  const dir = await mkdtemp(join(tmpdir(), "fairlead-test-"));
  try {
    const first = await startTestCluster({ dir, noFsync: true, controllers: false });
    await (await clientOf(first)).create(resources.ConfigMap, { metadata: { name: "kept", namespace: "default" } });
    await first.stop();
    const client = await clientOf(await start({ dir, controllers: false }));
    expect((await client.get(resources.ConfigMap, { name: "kept", namespace: "default" })).metadata.name).toBe("kept");
  } finally {
    await Promise.all(running.splice(0).map((cluster) => cluster.stop()));
    await rm(dir, { recursive: true, force: true });
  }
});
