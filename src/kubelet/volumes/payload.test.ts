import { expect, test } from "vitest";
import type { Pod, Volume } from "../../kube/index.ts";
import type { Lookup } from "../pods/environment.ts";
import type { AccountTokens } from "./account-tokens.ts";
import { payloadOf } from "./payload.ts";

const base64 = (text: string): string => Buffer.from(text).toString("base64");
const lookup: Lookup = {
  configMap: async (name) =>
    name === "settings"
      ? { apiVersion: "v1", kind: "ConfigMap", metadata: { name }, data: { a: "1" }, binaryData: { b: base64("\0") } }
      : undefined,
  secret: async (name) =>
    name === "keys" ? { apiVersion: "v1", kind: "Secret", metadata: { name }, data: { k: base64("s") } } : undefined,
};
const tokens: AccountTokens = {
  token: async ({ metadata }, { audience = "api" }) => `token of ${metadata.name} for ${audience}`,
  dueIn: () => undefined,
  release: () => {},
};
const pod: Pod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "p", namespace: "d", labels: { app: "web" } },
  spec: { containers: [{ name: "web", resources: { limits: { cpu: "2" } } }] },
};
const facts = {
  pod,
  podIPs: ["10.42.0.2"],
  hostIPs: ["10.41.0.1"],
  allocatable: { cpu: 1, memory: 1, ephemeralStorage: 1 },
};

async function files(volume: Omit<Volume, "name">): Promise<Record<string, string>> {
  const payload = await payloadOf({ name: "v", ...volume }, facts, lookup, tokens);
  return Object.fromEntries(
    [...payload].map(([path, { data, mode }]) => [path, `${mode.toString(8)} ${data.toString()}`]),
  );
}

test("configMap and secret: all keys, or items with paths and modes", async () => {
  expect(await files({ configMap: { name: "settings" } })).toEqual({ a: "644 1", b: "644 \0" });
  expect(await files({ secret: { secretName: "keys", defaultMode: 0o400 } })).toEqual({ k: "400 s" });
  const items = [{ key: "a", path: "deep/x", mode: 0o600 }];
  expect(await files({ configMap: { name: "settings", items } })).toEqual({ "deep/x": "600 1" });
});

test("downwardAPI and projected", async () => {
  const downward = {
    items: [
      { path: "labels", fieldRef: { fieldPath: "metadata.labels" } },
      { path: "cpu", resourceFieldRef: { containerName: "web", resource: "limits.cpu" } },
    ],
  };
  expect(await files({ downwardAPI: downward })).toEqual({ labels: '644 app="web"', cpu: "644 2" });
  const sources = [{ configMap: { name: "settings" } }, { secret: { name: "keys" } }, { downwardAPI: downward }];
  expect(Object.keys(await files({ projected: { sources } })).sort()).toEqual(["a", "b", "cpu", "k", "labels"]);
});

test("tokens of the pod's account", async () => {
  const sources = [
    { serviceAccountToken: { path: "token" } },
    { serviceAccountToken: { path: "vault/token", audience: "vault" } },
  ];
  expect(await files({ projected: { sources, defaultMode: 0o600 } })).toEqual({
    token: "600 token of p for api",
    "vault/token": "600 token of p for vault",
  });
});

test.each<[string, Omit<Volume, "name">, string]>([
  ["ConfigMap", { configMap: { name: "no" } }, 'configmap "no" not found'],
  ["Secret", { secret: { secretName: "no" } }, 'secret "no" not found'],
  [
    "key",
    { configMap: { name: "settings", items: [{ key: "z", path: "z" }] } },
    'configmap "settings" references non-existent key: z',
  ],
  ["path", { configMap: { name: "settings", items: [{ key: "a", path: "../x" }] } }, 'path "../x"'],
  [
    "source",
    { projected: { sources: [{ clusterTrustBundle: { path: "x" } }] } },
    "clusterTrustBundle is not supported",
  ],
])("what cannot be is named: %s", async (_, volume, message) => {
  await expect(files(volume)).rejects.toThrow(message);
});

test("what is optional may be missing", async () => {
  expect(await files({ configMap: { name: "no", optional: true } })).toEqual({});
  const items = [{ key: "z", path: "z" }];
  expect(await files({ secret: { secretName: "keys", optional: true, items } })).toEqual({});
});
