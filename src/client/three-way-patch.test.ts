import { describe, expect, test } from "vitest";
import { applyStrategicPatch, type KubeObject, type Resource, resources } from "../kube/index.ts";
import { createFakeClient } from "./fake.ts";
import { threeWayPatch } from "./three-way-patch.ts";

const container = (name: string, image: string, more: object = {}) => ({ name, image, ...more });
const deployment = (spec: object) => ({ spec });
const podSpec = (spec: object) => deployment({ template: { spec } });

/** What is there after the apply. */
function after(last: object | undefined, wanted: object, current: object): object {
  const patch = threeWayPatch(resources.Deployment, last, wanted, current);
  return patch ? applyStrategicPatch(resources.Deployment, current, patch) : current;
}

describe("after an apply", () => {
  test.each<[string, object | undefined, object, object, object]>([
    [
      "what is new is there",
      undefined,
      deployment({ paused: true }),
      deployment({ replicas: 2 }),
      deployment({ replicas: 2, paused: true }),
    ],
    [
      "what was taken out is gone",
      deployment({ paused: true }),
      deployment({}),
      deployment({ replicas: 2, paused: true }),
      deployment({ replicas: 2 }),
    ],
    ["what others set stays", deployment({}), deployment({}), deployment({ replicas: 7 }), deployment({ replicas: 7 })],
    [
      "a container keeps its defaults and its neighbour",
      podSpec({ containers: [container("a", "1")] }),
      podSpec({ containers: [container("a", "2")] }),
      podSpec({ containers: [container("sidecar", "s"), container("a", "1", { imagePullPolicy: "Always" })] }),
      podSpec({ containers: [container("sidecar", "s"), container("a", "2", { imagePullPolicy: "Always" })] }),
    ],
    [
      "a container that was taken out is gone",
      podSpec({ containers: [container("a", "1"), container("b", "1")] }),
      podSpec({ containers: [container("b", "1")] }),
      podSpec({ containers: [container("a", "1"), container("b", "1")] }),
      podSpec({ containers: [container("b", "1")] }),
    ],
    [
      "a union has only the member that is named",
      deployment({ strategy: { type: "RollingUpdate" } }),
      deployment({ strategy: { type: "Recreate" } }),
      deployment({ strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 1 } } }),
      deployment({ strategy: { type: "Recreate" } }),
    ],
    [
      "ports of the same number are set as a whole",
      undefined,
      podSpec({
        containers: [
          container("a", "1", {
            ports: [
              { containerPort: 53, protocol: "UDP" },
              { containerPort: 53, protocol: "TCP" },
            ],
          }),
        ],
      }),
      podSpec({ containers: [container("a", "1", { ports: [{ containerPort: 53, protocol: "TCP" }] })] }),
      podSpec({
        containers: [
          container("a", "1", {
            ports: [
              { containerPort: 53, protocol: "UDP" },
              { containerPort: 53, protocol: "TCP" },
            ],
          }),
        ],
      }),
    ],
    [
      "a list without key is replaced",
      podSpec({ containers: [container("a", "1", { args: ["x", "y"] })] }),
      podSpec({ containers: [container("a", "1", { args: ["y"] })] }),
      podSpec({ containers: [container("a", "1", { args: ["x", "y"] })] }),
      podSpec({ containers: [container("a", "1", { args: ["y"] })] }),
    ],
    [
      "finalizers are added and taken away one by one",
      { metadata: { finalizers: ["a/a", "b/b"] } },
      { metadata: { finalizers: ["b/b", "c/c"] } },
      { metadata: { finalizers: ["a/a", "b/b", "foreign/x"] } },
      { metadata: { finalizers: ["c/c", "b/b", "foreign/x"] } },
    ],
  ])("%s", (_title, last, wanted, current, expected) => {
    expect(after(last, wanted, current)).toEqual(expected);
    // Applied again, nothing changes.
    expect(threeWayPatch(resources.Deployment, wanted, wanted, after(last, wanted, current))).toBeUndefined();
  });
});

test("apply creates, then changes only what is new, and writes nothing when nothing is", async () => {
  const client = createFakeClient();
  const name = { namespace: "a", name: "web" };
  const draft = (targetPort: number) => ({ metadata: name, spec: { ports: [{ port: 80, targetPort }] } });
  await client.apply(resources.Service, draft(8080));
  const allocated = {
    spec: { clusterIP: "10.96.0.9", ports: [{ port: 80, targetPort: 8080, nodePort: 30000, protocol: "TCP" }] },
  };
  await client.patch(resources.Service, name, { type: "merge", body: allocated });
  const applied = await client.apply(resources.Service, draft(9090));
  expect(applied.spec).toEqual({
    clusterIP: "10.96.0.9",
    ports: [{ port: 80, targetPort: 9090, nodePort: 30000, protocol: "TCP" }],
  });
  const writes = client.writes.length;
  expect((await client.apply(resources.Service, draft(9090))).metadata.resourceVersion).toBe(
    applied.metadata.resourceVersion,
  );
  expect(client.writes).toHaveLength(writes);
});

test("apply is tried again when another is quicker", async () => {
  const client = createFakeClient();
  const draft = { metadata: { namespace: "a", name: "m" }, data: { k: "1" } };
  let first = true;
  client.intercept = async ({ verb }) => {
    if (verb !== "create" || !first) return;
    first = false;
    client.put(resources.ConfigMap, { ...draft, data: { k: "2", other: "x" } });
  };
  expect((await client.apply(resources.ConfigMap, draft)).data).toEqual({ k: "1", other: "x" });
});

test("apply changes a custom resource by a merge patch, which is all that servers take of it", async () => {
  const client = createFakeClient();
  const widgets: Resource<KubeObject & { spec: { sizes: number[]; colour?: string } }> = {
    group: "example.com",
    version: "v1",
    kind: "Widget",
    plural: "widgets",
    singular: "widget",
    namespaced: true,
    shortNames: [],
    categories: [],
    subresources: [],
  };
  const metadata = { namespace: "a", name: "w" };
  await client.apply(widgets, { metadata, spec: { sizes: [1, 2], colour: "red" } });
  const applied = await client.apply(widgets, { metadata, spec: { sizes: [3] } });
  expect(applied.spec).toEqual({ sizes: [3] });
});
