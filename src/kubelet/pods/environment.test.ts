import { describe, expect, test } from "vitest";
import type { Container, Pod, Service } from "../../kube/index.ts";
import { type DownwardFacts, fieldValue, quantity, resourceValue } from "./downward-api.ts";
import { environmentFor, type Lookup, serviceVariables } from "./environment.ts";

const pod: Pod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: {
    name: "web-1",
    namespace: "shop",
    uid: "u1",
    labels: { app: "web", "a.example/b": 'x"y' },
    annotations: { note: "hello" },
  },
  spec: { nodeName: "n1", serviceAccountName: "robot", containers: [{ name: "web" }, { name: "other" }] },
};
const facts: DownwardFacts = {
  pod,
  podIPs: ["10.42.0.5"],
  hostIPs: ["10.41.0.1"],
  allocatable: { cpu: 2, memory: 4 * 2 ** 30, ephemeralStorage: 10 * 2 ** 30 },
};
const lookup: Lookup = {
  configMap: async (name) =>
    name === "settings"
      ? { apiVersion: "v1", kind: "ConfigMap", metadata: { name }, data: { color: "blue", size: "9" } }
      : undefined,
  secret: async (name) =>
    name === "keys"
      ? { apiVersion: "v1", kind: "Secret", metadata: { name }, data: { token: Buffer.from("t0p").toString("base64") } }
      : undefined,
};
const envOf = (container: Partial<Container>): Promise<Record<string, string>> =>
  environmentFor({ name: "web", ...container }, facts, { SERVICE: "s" }, lookup);

describe("environmentFor", () => {
  test("later sources win and earlier variables can be used", async () => {
    const env = await envOf({
      envFrom: [{ configMapRef: { name: "settings" } }, { prefix: "SECRET_", secretRef: { name: "keys" } }],
      env: [
        { name: "color", value: "red" },
        { name: "both", value: "$(color)-$(SECRET_token)-$(SERVICE)-$(later)" },
        { name: "later", value: "x" },
        { name: "size2", valueFrom: { configMapKeyRef: { name: "settings", key: "size" } } },
        { name: "token", valueFrom: { secretKeyRef: { name: "keys", key: "token" } } },
        { name: "ip", valueFrom: { fieldRef: { fieldPath: "status.podIP" } } },
      ],
    });
    expect(env).toEqual({
      SERVICE: "s",
      color: "red",
      size: "9",
      SECRET_token: "t0p",
      both: "red-t0p-s-$(later)",
      later: "x",
      size2: "9",
      token: "t0p",
      ip: "10.42.0.5",
    });
  });

  test.each<[string, Partial<Container>, string]>([
    ["envFrom", { envFrom: [{ configMapRef: { name: "no" } }] }, 'configmap "no" not found'],
    [
      "secret",
      { env: [{ name: "A", valueFrom: { secretKeyRef: { name: "no", key: "k" } } }] },
      'secret "no" not found',
    ],
    [
      "key",
      { env: [{ name: "A", valueFrom: { configMapKeyRef: { name: "settings", key: "k" } } }] },
      "couldn't find key k in ConfigMap shop/settings",
    ],
    [
      "field",
      { env: [{ name: "A", valueFrom: { fieldRef: { fieldPath: "spec.x" } } }] },
      "unsupported fieldPath: spec.x",
    ],
  ])("what is missing is named: %s", async (_, container, message) => {
    await expect(envOf(container)).rejects.toThrow(message);
  });

  test("what is optional may be missing", async () => {
    const env = await envOf({
      envFrom: [{ secretRef: { name: "no", optional: true } }],
      env: [
        { name: "A", valueFrom: { configMapKeyRef: { name: "settings", key: "k", optional: true } } },
        { name: "B", valueFrom: { secretKeyRef: { name: "no", key: "k", optional: true } } },
      ],
    });
    expect(env).toEqual({ SERVICE: "s" });
  });
});

test.each([
  ["metadata.name", "web-1"],
  ["metadata.namespace", "shop"],
  ["metadata.uid", "u1"],
  ["metadata.labels['app']", "web"],
  ["metadata.annotations['note']", "hello"],
  ["metadata.annotations['none']", ""],
  ["metadata.labels", 'a.example/b="x\\"y"\napp="web"'],
  ["spec.nodeName", "n1"],
  ["spec.serviceAccountName", "robot"],
  ["status.hostIP", "10.41.0.1"],
  ["status.podIPs", "10.42.0.5"],
])("fieldValue %s", (path, expected) => {
  expect(fieldValue(path, facts)).toBe(expected);
});

test("resourceValue: limits default to what the node has, requests to limits, and the divisor rounds up", () => {
  const container: Container = {
    name: "web",
    resources: { limits: { cpu: "250m", memory: "100Mi" }, requests: { memory: "64Mi" } },
  };
  const value = (resource: string, divisor?: string): string =>
    resourceValue({ resource, ...(divisor ? { divisor } : {}) }, container, facts);
  expect(value("limits.cpu")).toBe("1");
  expect(value("limits.cpu", "1m")).toBe("250");
  expect(value("requests.cpu", "1m")).toBe("250");
  expect(value("requests.memory", "1Mi")).toBe("64");
  expect(value("limits.ephemeral-storage", "1Gi")).toBe("10");
  expect(resourceValue({ resource: "limits.memory", containerName: "other" }, container, facts)).toBe(
    String(4 * 2 ** 30),
  );
});

test.each([
  ["1", 1],
  ["500m", 0.5],
  ["1Ki", 1024],
  ["1.5G", 1.5e9],
  ["2e3", 2000],
])("quantity %s", (text, expected) => {
  expect(quantity(text)).toBeCloseTo(expected);
});

test("serviceVariables: those of the namespace, and kubernetes; headless ones have none", () => {
  const service = (namespace: string, name: string, clusterIP: string): Service => ({
    apiVersion: "v1",
    kind: "Service",
    metadata: { namespace, name },
    spec: {
      clusterIP,
      ports: [
        { name: "http", port: 80, protocol: "TCP" },
        { name: "dns-udp", port: 53, protocol: "UDP" },
      ],
    },
  });
  const services = [
    service("default", "kubernetes", "10.96.0.1"),
    service("shop", "my-redis", "10.96.0.7"),
    service("shop", "headless", "None"),
    service("other", "far", "10.96.0.8"),
  ];
  const all = serviceVariables(services, { namespace: "shop", links: true });
  expect(Object.keys(all).filter((name) => /HEADLESS|FAR/.test(name))).toEqual([]);
  expect(all).toMatchObject({
    KUBERNETES_SERVICE_HOST: "10.96.0.1",
    MY_REDIS_SERVICE_HOST: "10.96.0.7",
    MY_REDIS_SERVICE_PORT: "80",
    MY_REDIS_SERVICE_PORT_DNS_UDP: "53",
    MY_REDIS_PORT: "tcp://10.96.0.7:80",
    MY_REDIS_PORT_53_UDP: "udp://10.96.0.7:53",
    MY_REDIS_PORT_53_UDP_PROTO: "udp",
    MY_REDIS_PORT_80_TCP_ADDR: "10.96.0.7",
  });
  const few = serviceVariables(services, { namespace: "shop", links: false });
  expect(Object.keys(few).every((name) => name.startsWith("KUBERNETES_"))).toBe(true);
});
