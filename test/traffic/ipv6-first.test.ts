import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type DataPlaneName, missingFor } from "../../src/dataplane/index.ts";
import { beforePort, type Ingress, type Node, type Pod, type Service } from "../../src/kube/index.ts";
import { eventually, printed, tearDown, type TestCluster, upCluster } from "../support/cluster.ts";
import { type Lab, noKernel, openLab } from "../support/lab.ts";
import { openOutsideClient, type OutsideClient } from "../support/outside-client.ts";

const manifests = `
apiVersion: v1
kind: Pod
metadata: { name: web, labels: { app: web } }
spec:
  containers: [{ name: echo, image: fairlead.dev/echo, ports: [{ containerPort: 8080 }] }]
---
apiVersion: v1
kind: Service
metadata: { name: usual }
spec: { selector: { app: web }, ports: [{ port: 80, targetPort: 8080 }] }
---
apiVersion: v1
kind: Service
metadata: { name: web }
spec:
  type: LoadBalancer
  ipFamilyPolicy: PreferDualStack
  selector: { app: web }
  ports: [{ port: 80, targetPort: 8080 }]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: web }
spec:
  ingressClassName: fairlead
  rules:
    - host: web.test
      http:
        paths: [{ path: /, pathType: Prefix, backend: { service: { name: usual, port: { number: 80 } } } }]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: web }
spec:
  gatewayClassName: fairlead
  listeners: [{ name: http, port: 8088, protocol: HTTP }]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: web }
spec:
  parentRefs: [{ name: web }]
  rules: [{ backendRefs: [{ name: usual, port: 80 }] }]
`;

const lookUp = `
const { Resolver } = require("node:dns").promises;
const resolver = new Resolver();
resolver.setServers([process.argv[1]]);
Promise.all(["AAAA", "A"].map((type) => resolver.resolve(process.argv[2], type))).then((all) => console.log(all.flat().join()));`;

/** The node has addresses of its own, of the machine's network. */
const nodeAddresses = ["fd00:a::1", "198.51.100.7"];

describe.skipIf(noKernel)(`a cluster of two families, IPv6 first${noKernel ? ` (skipped: ${noKernel})` : ""}`, () => {
  let lab: Lab;
  let outside: OutsideClient;
  let cluster: TestCluster;
  let web: Service;
  let ingress: Ingress;
  let gateway: { status: { addresses: { value: string }[] } };

  const json = async <T>(...args: string[]) => JSON.parse(printed(await cluster.kubectl([...args, "-o", "json"]))) as T;
  const inPod = async (...args: string[]) => printed(await cluster.kubectl(["exec", "web", "--", ...args]));
  /** As the echo image says it: the pod, and whom a proxy before it has seen. */
  const askOutside = async (url: string, host?: string) => {
    const { pod, headers } = JSON.parse(await outside.get(url, host)) as {
      pod: string;
      headers: Record<string, string>;
    };
    return { pod, client: headers["x-forwarded-for"] };
  };

  beforeAll(async () => {
    lab = await openLab("root");
    outside = await openOutsideClient(lab);
    cluster = await upCluster(lab, ["--proxy-mode", "nftables", "--service-cidr", "fd00:10:96::/112,10.96.0.0/16"]);
    printed(await cluster.kubectl(["apply", "-f", "-"], { input: manifests }));
    printed(await cluster.kubectl(["wait", "pod/web", "--for=condition=Ready", "--timeout=60s"]));
    web = await eventually("load-balancer addresses", async () => {
      const found = await json<Service>("get", "service", "web");
      return found.status?.loadBalancer?.ingress?.length === 2 ? found : undefined;
    });
    ingress = await eventually("the Ingress's status", async () => {
      const found = await json<Ingress>("get", "ingress", "web");
      return found.status?.loadBalancer?.ingress ? found : undefined;
    });
    gateway = await eventually("the Gateway's addresses", async () => {
      const found = await json<typeof gateway>("get", "gateway", "web");
      return found.status.addresses?.length === 2 ? found : undefined;
    });
  });
  afterAll(async () => {
    await tearDown(lab, cluster);
    await outside?.close();
  });

  it("IPv6 is what Services have by default, and comes first everywhere", async () => {
    const [node] = (await json<{ items: Node[] }>("get", "nodes")).items;
    expect(node?.status?.addresses?.map(({ address }) => address)).toEqual([...nodeAddresses, "node-1"]);
    expect(node?.spec.podCIDRs).toEqual([expect.stringMatching(/^fd00:10:42:/), expect.stringMatching(/^10\.42\./)]);
    const { status } = await json<Pod>("get", "pod", "web");
    expect(status?.podIP).toMatch(/^fd00:10:42:/);
    expect(status?.podIPs?.map(({ ip }) => ip)).toEqual([status?.podIP, expect.stringMatching(/^10\.42\./)]);
    const usual = await json<Service>("get", "service", "usual");
    expect(usual.spec).toMatchObject({ ipFamilies: ["IPv6"], ipFamilyPolicy: "SingleStack" });
    expect(web.spec).toMatchObject({ ipFamilies: ["IPv6", "IPv4"] });
    expect((await json<Service>("get", "service", "kubernetes")).spec.clusterIPs).toEqual(["fd00:10:96::1"]);
  });

  it("DNS answers at an address of each family, and pods know both", async () => {
    const servers = ["fd00:10:96::a", "10.96.0.10"];
    expect((await json<Service>("get", "service", "kube-dns", "-n", "kube-system")).spec.clusterIPs).toEqual(servers);
    const lines = (await inPod("cat", "/etc/resolv.conf")).split("\n");
    expect(lines.filter((line) => line.startsWith("nameserver"))).toEqual(servers.map((one) => `nameserver ${one}`));
    for (const server of servers) {
      const found = await inPod(process.execPath, "-e", lookUp, server, "web.default.svc.cluster.local");
      expect(found.trim()).toBe(web.spec.clusterIPs?.join());
    }
  });

  it.each(["nftables", "iptables"])("%s leads who is outside in both families", async (mode) => {
    if (mode !== "nftables") printed(await cluster.fairlead(["proxy", "switch", "--to", mode, "--dir", cluster.dir]));
    const { nodePort } = web.spec.ports?.[0] ?? {};
    const balancers = (web.status?.loadBalancer?.ingress ?? []).map(({ ip = "" }) => ip);
    expect(balancers).toEqual([expect.stringMatching(/^fd00:10:97::/), expect.stringMatching(/^10\.97\./)]);
    for (const address of nodeAddresses)
      expect(await askOutside(`http://${beforePort(address)}:${nodePort}/`)).toMatchObject({ pod: "web" });
    for (const address of balancers)
      expect(await askOutside(`http://${beforePort(address)}/`)).toMatchObject({ pod: "web" });
  });

  it("statuses of Ingresses and Gateways show both families", () => {
    expect(ingress.status?.loadBalancer?.ingress?.map(({ ip }) => ip)).toEqual(nodeAddresses);
    expect(gateway.status.addresses.map(({ value }) => value)).toEqual([
      expect.stringMatching(/^fd00:10:97::/),
      expect.stringMatching(/^10\.97\./),
    ]);
  });

  describe.each<DataPlaneName>(["embedded", "haproxy", "nginx"])("%s", async (name) => {
    const why = await missingFor(name);
    it.skipIf(why)(`takes clients of both, and tells endpoints their addresses${why ? ` (${why})` : ""}`, async () => {
      if (name !== "embedded") {
        const switched = await cluster.fairlead(["ingress", "switch", "--to", name, "--dir", cluster.dir]);
        expect(switched.code, switched.stderr).toBe(0);
      }
      const { IPv6, IPv4 } = outside.addresses;
      const clients = [IPv6, IPv4].map((client) => ({ pod: "web", client }));
      const seen = nodeAddresses.map((address) => askOutside(`http://${beforePort(address)}/`, "web.test"));
      expect(await Promise.all(seen)).toEqual(clients);
      // What leads to a Gateway hides who asks.
      const gateways = gateway.status.addresses.map(({ value }) => askOutside(`http://${beforePort(value)}:8088/`));
      expect(await Promise.all(gateways)).toMatchObject([{ pod: "web" }, { pod: "web" }]);
    });
  });
});
