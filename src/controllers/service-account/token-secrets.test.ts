import { afterEach, beforeEach, expect, it } from "vitest";
import { resources } from "../../kube/index.ts";
import { startCluster, type TestCluster } from "../testing/cluster.ts";
import { startTokenSecrets } from "./token-secrets.ts";

const type = "kubernetes.io/service-account-token";
let cluster: TestCluster;
beforeEach(() => {
  cluster = startCluster();
  const signToken = async ({
    namespace,
    account,
    secret,
  }: {
    namespace: string;
    account: { name: string };
    secret: string;
  }) => `token of ${namespace}/${account.name} in ${secret}`;
  startTokenSecrets({ ...cluster, rootCA: "CA", signToken });
});
afterEach(() => cluster.stop());

const put = (account: string) =>
  cluster.client.put(resources.Secret, {
    metadata: { namespace: "d", name: "s", annotations: { "kubernetes.io/service-account.name": account } },
    type,
  });
const decoded = (data: Record<string, string> = {}) =>
  Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value, "base64").toString()]));

it("a Secret for an account is filled, and goes with the account", async () => {
  const { metadata } = cluster.client.put(resources.ServiceAccount, { metadata: { namespace: "d", name: "robot" } });
  put("robot");
  await cluster.settle();
  const secret = await cluster.client.get(resources.Secret, { namespace: "d", name: "s" });
  expect(decoded(secret.data)).toEqual({ "ca.crt": "CA", namespace: "d", token: "token of d/robot in s" });
  expect(secret.metadata.annotations?.["kubernetes.io/service-account.uid"]).toBe(metadata.uid);
  await cluster.client.delete(resources.ServiceAccount, { namespace: "d", name: "robot" });
  await cluster.settle();
  expect((await cluster.client.list(resources.Secret)).items).toEqual([]);
});

it("a Secret for an account that is not there goes", async () => {
  put("nobody");
  await cluster.settle();
  expect((await cluster.client.list(resources.Secret)).items).toEqual([]);
});
