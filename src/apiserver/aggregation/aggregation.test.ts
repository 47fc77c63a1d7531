import { afterEach, describe, expect, test } from "vitest";
import type { EndpointSlice, Service } from "../../kube/index.ts";
import { EgressError } from "../egress/index.ts";
import { createFakeEgress, type FakeEgress } from "../egress/fake-egress.ts";
import { startTestApi, type TestApi } from "../test-api.ts";
import type { Aggregated } from "./api-services.ts";
import { obstacle } from "./availability.ts";
import { groupFrom } from "./remote-discovery.ts";
import { userHeaders } from "./user-headers.ts";

const aggregated = { service: { namespace: "ns", name: "svc", port: 443 } } as Aggregated;
const service = (spec: object): Service => ({ metadata: { name: "svc" }, spec }) as unknown as Service;
const slice = (more: object): EndpointSlice =>
  ({ metadata: { name: "s" }, addressType: "IPv4", ...more }) as EndpointSlice;
const ports = [{ name: "https", port: 443 }];

describe("a server is not asked", () => {
  test.each<[string, string | undefined, Service | undefined, EndpointSlice[]]>([
    ["when there is no Service", "ServiceNotFound", undefined, []],
    ["when the Service has not the port", "ServicePortError", service({ ports: [{ port: 80 }] }), []],
    ["when it has no slices", "EndpointsNotFound", service({ ports }), []],
    [
      "when none of its endpoints is ready",
      "MissingEndpoints",
      service({ ports }),
      [
        slice({
          ports: [{ name: "https", port: 1 }],
          endpoints: [{ addresses: ["10.0.0.1"], conditions: { ready: false } }],
        }),
      ],
    ],
    [
      "unless nothing is in the way",
      undefined,
      service({ ports }),
      [slice({ ports: [{ name: "https", port: 1 }], endpoints: [{ addresses: ["10.0.0.1"] }] })],
    ],
    ["unless only its name says where it is", undefined, service({ type: "ExternalName", externalName: "x" }), []],
  ])("%s", (_name, reason, found, slices) => {
    expect(obstacle(aggregated, found, slices)?.reason).toBe(reason);
  });
});

test("what a server says it has becomes a group, parts with their resource", () => {
  const resources = [
    {
      name: "flunders",
      singularName: "flunder",
      namespaced: true,
      kind: "Flunder",
      verbs: ["get"],
      shortNames: ["fl"],
    },
    { name: "flunders/scale", kind: "Scale", group: "autoscaling", version: "v1", verbs: ["get"] },
  ];
  const { entries } = groupFrom({ group: "g", version: "v1" }, { kind: "APIResourceList", resources });
  expect(entries).toMatchObject([
    {
      plural: "flunders",
      namespaced: true,
      kind: { group: "g", version: "v1", kind: "Flunder" },
      subresources: [{ name: "scale", kind: { group: "autoscaling", version: "v1", kind: "Scale" } }],
    },
  ]);
  expect(() => groupFrom({ group: "g", version: "v1" }, "hello")).toThrow("no APIResourceList");
});

test("the caller goes in headers, whatever it is called", () => {
  const extra = { "example.com/Team": ["a\r\nx-evil: 1"] };
  expect(userHeaders({ name: "eve", uid: "7", groups: ["g1", "g2"], extra })).toEqual({
    "x-remote-user": "eve",
    "x-remote-uid": "7",
    "x-remote-group": ["g1", "g2"],
    "x-remote-extra-example.com%2fteam": ["a  x-evil: 1"],
  });
});

describe("in the API", () => {
  let api: TestApi;
  afterEach(() => api.stop());
  const name = "v1.wardle.example.com";
  const url = `/apis/apiregistration.k8s.io/v1/apiservices/${name}`;

  async function start(egress: FakeEgress): Promise<void> {
    api = await startTestApi({ egress });
    const slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
    await api.call("POST", "/api/v1/namespaces/default/services", { metadata: { name: "svc" }, spec: { ports } });
    const labels = { "kubernetes.io/service-name": "svc" };
    const endpoints = [{ addresses: ["10.0.0.1"] }];
    const given = {
      metadata: { name: "svc-1", labels },
      addressType: "IPv4",
      ports: [{ name: "https", port: 1 }],
      endpoints,
    };
    await api.call("POST", slices, given);
    const spec = { group: "wardle.example.com", version: "v1", groupPriorityMinimum: 1000, versionPriority: 15 };
    const { status, text } = await api.call("POST", "/apis/apiregistration.k8s.io/v1/apiservices", {
      metadata: { name },
      spec: { ...spec, insecureSkipTLSVerify: true, service: { namespace: "default", name: "svc" } },
    });
    expect(status, text).toBe(201);
  }
  const condition = async (): Promise<string[]> => {
    await api.clock.advance(300);
    const { body } = await api.call("GET", url);
    const [found] = body.status?.conditions ?? [];
    return [found?.status, found?.reason, found?.message];
  };

  test("a server that answers is available, and in both forms of discovery", async () => {
    const resources = [
      { name: "flunders", singularName: "flunder", namespaced: true, kind: "Flunder", verbs: ["get"] },
    ];
    await start(createFakeEgress(() => ({ body: { kind: "APIResourceList", resources } })));
    await expect.poll(condition).toEqual(["True", "Passed", "all checks passed"]);
    const { body } = await api.call("GET", "/apis");
    expect(body.groups.at(-1)).toMatchObject({ name: "wardle.example.com", preferredVersion: { version: "v1" } });
    const accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    const all = await api.call("GET", "/apis", undefined, { headers: { accept } });
    expect(all.body.items.at(-1).versions[0]).toMatchObject({
      freshness: "Current",
      resources: [{ resource: "flunders" }],
    });
    expect((await api.call("GET", "/openapi/v3")).body.paths["apis/wardle.example.com/v1"]).toEqual({
      serverRelativeURL: "/openapi/v3/apis/wardle.example.com/v1",
    });
  });

  test("what it says of its types is in OpenAPI v2, and what is no document does no harm", async () => {
    const resources = [
      { name: "flunders", singularName: "flunder", namespaced: true, kind: "Flunder", verbs: ["get"] },
    ];
    let document: object | string = "no document";
    await start(
      createFakeEgress((_, { path }) => {
        if (path !== "/openapi/v2") return { body: { kind: "APIResourceList", resources } };
        return { body: document };
      }),
    );
    await expect.poll(condition).toEqual(["True", "Passed", "all checks passed"]);
    const types = async (): Promise<unknown> => (await api.call("GET", "/openapi/v2")).body.definitions["ex.Flunder"];
    expect(await types()).toBeUndefined();
    const flunder = { type: "object", description: "a flunder", properties: { size: { type: "integer" } } };
    document = {
      swagger: "2.0",
      paths: { "/apis/wardle.example.com/v1/flunders": { get: { schema: { $ref: "#/definitions/ex.Flunder" } } } },
      definitions: { "ex.Flunder": flunder },
    };
    await expect
      .poll(
        async () => {
          await api.clock.advance(61_000);
          return types();
        },
        { timeout: 10_000 },
      )
      .toEqual(flunder);
    const accept = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
    const { bytes } = await api.call("GET", "/openapi/v2", undefined, { headers: { accept } });
    expect(Buffer.from(bytes).includes("a flunder")).toBe(true);
    await api.call("DELETE", url);
    await api.clock.advance(300);
    expect(await types()).toBeUndefined();
  });

  test("one that does not is not, is asked again, and is said to be stale", async () => {
    let down = true;
    const egress = createFakeEgress(() => {
      if (down) throw new EgressError("CONNECTION", "dial tcp 10.0.0.1:1: connect: connection refused");
      return { body: { kind: "APIResourceList", resources: [] } };
    });
    await start(egress);
    await expect
      .poll(condition)
      .toEqual([
        "False",
        "FailedDiscoveryCheck",
        'failing or missing response from https://svc.default.svc:443/apis/wardle.example.com/v1: Get "https://svc.default.svc:443/apis/wardle.example.com/v1": dial tcp 10.0.0.1:1: connect: connection refused',
      ]);
    const refused = await api.call("GET", "/apis/wardle.example.com/v1/flunders");
    expect([refused.status, refused.text]).toEqual([503, "service unavailable\n"]);
    down = false;
    await expect.poll(async () => (await condition())[1]).toBe("Passed");
    await api.call("DELETE", url);
    await api.clock.advance(300);
    expect((await api.call("GET", "/apis/wardle.example.com/v1")).status).toBe(404);
  });

  test("the server's own groups have APIServices", async () => {
    api = await startTestApi();
    const read = async (): Promise<unknown> => {
      await api.clock.advance(300);
      const { body } = await api.call("GET", "/apis/apiregistration.k8s.io/v1/apiservices/v1.apps");
      return [body.spec, body.status?.conditions?.[0]?.reason, body.metadata?.labels];
    };
    await expect
      .poll(read)
      .toEqual([
        { group: "apps", version: "v1", groupPriorityMinimum: 17_800, versionPriority: 15 },
        "Local",
        { "kube-aggregator.kubernetes.io/automanaged": "onstart" },
      ]);
  });
});
