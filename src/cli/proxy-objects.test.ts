import { describe, expect, test } from "vitest";
import { createMemoryInformers } from "../client/index.ts";
import { resources } from "../kube/index.ts";
import { parseObjects } from "./proxy-objects.ts";

const read = (text: string) => parseObjects("web.yaml", text);

describe("objects in files", () => {
  test("a Service gets the defaults of an API server, and a loopback address where it names none", async () => {
    const text = `apiVersion: v1\nkind: Service\nmetadata: { name: web }\nspec: { ports: [{ port: 80 }] }\n`;
    const [service] = (await read(text)).services;
    expect(service?.metadata.namespace).toBe("default");
    expect(service?.spec).toMatchObject({ type: "ClusterIP", ports: [{ port: 80, protocol: "TCP", targetPort: 80 }] });
    expect(service?.spec.clusterIP).toMatch(/^127\.192\.\d+\.\d+$/);
    // The same at each start.
    expect((await read(text)).services[0]?.spec.clusterIP).toBe(service?.spec.clusterIP);
  });

  test("load-balancer addresses of the status count, and are checked", async () => {
    const text = (ip: string) =>
      `{ apiVersion: v1, kind: Service, metadata: { name: web }, spec: { type: LoadBalancer, ports: [{ port: 80 }] },\n` +
      `  status: { loadBalancer: { ingress: [{ ip: "${ip}" }] } } }`;
    expect((await read(text("192.0.2.1"))).services[0]?.status?.loadBalancer?.ingress).toEqual([
      { ip: "192.0.2.1", ipMode: "VIP" },
    ]);
    await expect(read(text("192.0.2"))).rejects.toThrow(
      /web\.yaml: Service "web": status\.loadBalancer\.ingress\[0\]\.ip/,
    );
  });

  test("Lists and several documents are read, and each fault says where it is", async () => {
    const slice = (name: string, more = "") =>
      `apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: { name: ${name} }\naddressType: IPv4\n${more}`;
    const list = `---\napiVersion: v1\nkind: List\nitems:\n  - { apiVersion: v1, kind: Service, metadata: { name: a }, spec: { ports: [{ port: 1 }] } }\n`;
    expect(await read(`${slice("one")}---\n${slice("two")}${list}`)).toMatchObject({
      slices: [{ metadata: { name: "one" } }, { metadata: { name: "two" } }],
      services: [{ metadata: { name: "a" } }],
    });
    await expect(read(`${slice("one")}---\n${slice("one")}`)).rejects.toThrow(
      "web.yaml, document 2: EndpointSlice default/one is in web.yaml, document 1 already",
    );
    await expect(
      read(`${slice("one")}---\n${slice("two", "endpoints: [{ addresses: [300.0.0.1] }]\n")}`),
    ).rejects.toThrow(
      /^web\.yaml, document 2: EndpointSlice "two": endpoints\[0\]\.addresses\[0\]: Invalid value: "300\.0\.0\.1"/,
    );
    await expect(read(list.replace("port: 1 ", "port: 70000 "))).rejects.toThrow(
      /^web\.yaml(, document \d+)?, items\[0\]: Service "a": spec\.ports\[0\]\.port: Invalid value: 70000/,
    );
  });

  test.each([
    ["kind: Pod\napiVersion: v1\n", 'Pod of "v1" is of no use here'],
    ["just text", "this is no Kubernetes object"],
    ["a: [", "Flow sequence"],
    ["{ apiVersion: v1, kind: Service, metadata: { name: web }, spec: { prots: [] } }", 'unknown field "spec.prots"'],
    ["{ apiVersion: v1, kind: Service, metadata: { name: web }, spec: [] }", 'Service "web"'],
    ["{ apiVersion: v1, kind: Service, metadata: {}, spec: { ports: [{ port: 1 }] } }", "metadata.name"],
    [
      "{ apiVersion: v1, kind: Service, metadata: { name: web }, spec: { type: NodePort, ports: [{ port: 1 }] } }",
      "spec.ports[0].nodePort: Required value: without a cluster nobody chooses one",
    ],
  ])("%s is refused", async (text, message) => {
    await expect(read(text)).rejects.toThrow(message);
  });
});

test("informers of objects in memory tell what came, changed and went", async () => {
  const informers = createMemoryInformers();
  const text = (port: number) =>
    `{ apiVersion: v1, kind: Service, metadata: { name: a }, spec: { ports: [{ port: ${port} }] } }`;
  const of = async (port: number) => (await read(text(port))).services;
  informers.replace(resources.Service, await of(1));
  const seen: string[] = [];
  informers
    .of(resources.Service)
    .onChange(({ before, after }) =>
      seen.push(`${before?.spec.ports?.[0]?.port ?? "-"} ${after?.spec.ports?.[0]?.port ?? "-"}`),
    );
  informers.replace(resources.Service, await of(1));
  informers.replace(resources.Service, await of(2));
  informers.replace(resources.Service, []);
  expect(seen).toEqual(["- 1", "1 2", "2 -"]);
  expect(informers.of(resources.Service).list()).toEqual([]);
});
