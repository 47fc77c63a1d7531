import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { EndpointSlice, Node, Pod, Service } from "../../src/kube/index.ts";
import { lanName, lanNamespace } from "../../src/cli/lan.ts";
import { eventually, printed, tearDown, type TestCluster, upCluster } from "../support/cluster.ts";
import { type Lab, noKernel, openLab, repository } from "../support/lab.ts";

const manifests = `
apiVersion: apps/v1
kind: DaemonSet
metadata: { name: web }
spec:
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      containers:
        - name: echo
          image: fairlead.dev/echo
          ports: [{ containerPort: 8080 }, { containerPort: 5353, protocol: UDP }]
---
apiVersion: v1
kind: Service
metadata: { name: web }
spec:
  type: LoadBalancer
  ipFamilyPolicy: RequireDualStack
  selector: { app: web }
  ports:
    - { name: http, port: 80, targetPort: 8080 }
    - { name: udp, port: 5300, targetPort: 5353, protocol: UDP }
---
apiVersion: v1
kind: Service
metadata: { name: headless }
spec:
  clusterIP: None
  ipFamilyPolicy: PreferDualStack
  selector: { app: web }
  ports: [{ name: http, port: 8080 }]
`;

const ask = join(repository, "test/support/ask-ways.mjs");

const lookUp = `
const { Resolver } = require("node:dns").promises;
const resolver = new Resolver();
resolver.setServers([process.argv[1]]);
Promise.all(["A", "AAAA"].map((type) => resolver.resolve(process.argv[2], type))).then((all) => console.log(JSON.stringify(all.flat().sort())));`;

describe.skipIf(noKernel)(`a cluster of two families${noKernel ? ` (skipped: ${noKernel})` : ""}`, () => {
  let lab: Lab;
  let cluster: TestCluster;
  let nodes: Node[];
  let pods: Pod[];
  let web: Service;
  /** Who asks: the first node, the second, and a pod on each. */
  let clients: readonly (readonly [string, Lab])[];

  const json = async <T>(...args: string[]) => JSON.parse(printed(await cluster.kubectl([...args, "-o", "json"]))) as T;
  const inNamespace = (name: string): Lab => ({
    ...lab,
    run: (file, args, options) => lab.run("nsenter", [`--net=/run/netns/${name}`, "--", file, ...args], options),
  });
  const ipsOf = ({ status }: Pod) => (status?.podIPs ?? []).map(({ ip }) => ip);

  beforeAll(async () => {
    lab = await openLab("root");
    const ranges = ["--service-cidr", "10.96.0.0/16,fd00:10:96::/112"];
    cluster = await upCluster(lab, ["--nodes", "2", "--proxy-mode", "nftables", ...ranges]);
    printed(await cluster.kubectl(["apply", "-f", "-"], { input: manifests }));
    printed(await cluster.kubectl(["rollout", "status", "daemonset/web", "--timeout=60s"]));
    nodes = (await json<{ items: Node[] }>("get", "nodes")).items;
    pods = (await json<{ items: Pod[] }>("get", "pods", "-l", "app=web")).items;
    web = await eventually("load-balancer addresses", async () => {
      const found = await json<Service>("get", "service", "web");
      return found.status?.loadBalancer?.ingress?.length === 2 ? found : undefined;
    });
    const namespaceOf = async (pod: Pod) => {
      const file = join(cluster.dir, `kubelet/${pod.spec.nodeName ?? ""}/addresses.json`);
      const { leases } = JSON.parse(await readFile(file, "utf8")) as { leases: Record<string, string> };
      return `fl-${Object.keys(leases).find((id) => leases[id] === ipsOf(pod)[0]) ?? ""}`;
    };
    clients = [
      ["node-1", lab],
      ["node-2", inNamespace(lanNamespace(lanName(cluster.dir), 2))],
      ...(await Promise.all(
        pods.map(async (pod) => [`pod on ${pod.spec.nodeName}`, inNamespace(await namespaceOf(pod))] as const),
      )),
    ];
  });
  afterAll(() => tearDown(lab, cluster));

  it("nodes have ranges and addresses of both, and so have pods, Services and slices", async () => {
    expect(nodes.map(({ spec }) => spec.podCIDRs)).toEqual([
      [expect.stringMatching(/^10\.42\.\d\.0\/24$/), expect.stringMatching(/^fd00:10:42:.*::?\/64$/)],
      [expect.stringMatching(/^10\.42\.\d\.0\/24$/), expect.stringMatching(/^fd00:10:42:.*::?\/64$/)],
    ]);
    expect(nodes.map(({ status }) => status?.addresses?.map(({ address }) => address))).toEqual([
      ["10.41.0.1", "fd00:10:41::1", "node-1"],
      ["10.41.0.2", "fd00:10:41::2", "node-2"],
    ]);
    for (const pod of pods) {
      expect(ipsOf(pod)).toEqual([expect.stringMatching(/^10\.42\./), expect.stringMatching(/^fd00:10:42:/)]);
      expect(pod.status?.hostIPs).toHaveLength(2);
    }
    expect(web.spec?.clusterIPs).toEqual([expect.stringMatching(/^10\.96\./), expect.stringMatching(/^fd00:10:96::/)]);
    const { items } = await json<{ items: EndpointSlice[] }>(
      "get",
      "endpointslices",
      "-l",
      "kubernetes.io/service-name=web",
    );
    for (const [i, family] of ["IPv4", "IPv6"].entries()) {
      const slices = items.filter(({ addressType }) => addressType === family);
      const addresses = slices.flatMap(({ endpoints }) => (endpoints ?? []).flatMap((one) => one.addresses));
      expect(addresses.toSorted()).toEqual(pods.map((pod) => ipsOf(pod)[i]).toSorted());
    }
  });

  it("DNS tells the addresses of both, at an address of each", async () => {
    for (const server of ["10.96.0.10", "fd00:10:96::a"]) {
      const resolve = async (name: string) => {
        const [, pod = lab] = clients[2] ?? [];
        return JSON.parse(printed(await pod.run(process.execPath, ["-e", lookUp, server, name]))) as string[];
      };
      expect(await resolve("web.default.svc.cluster.local")).toEqual((web.spec?.clusterIPs ?? []).toSorted());
      expect(await resolve("headless.default.svc.cluster.local")).toEqual(pods.flatMap(ipsOf).toSorted());
    }
  });

  describe.each(["nftables", "iptables", "userspace"])("%s", (mode) => {
    it("leads clients of every node to pods of every node, in both families", async () => {
      if (mode !== "nftables") printed(await cluster.fairlead(["proxy", "switch", "--to", mode, "--dir", cluster.dir]));
      const [http, udp] = web.spec?.ports ?? [];
      const addresses = [
        ...(web.spec?.clusterIPs ?? []),
        ...(web.status?.loadBalancer?.ingress ?? []).flatMap(({ ip }) => ip ?? []),
      ];
      const nodeAddresses = ["10.41.0.1", "fd00:10:41::1", "10.41.0.2", "fd00:10:41::2"];
      const ways = [
        ...addresses.map((address) => ({ address, http: http?.port, udp: udp?.port })),
        ...nodeAddresses.map((address) => ({ address, http: http?.nodePort, udp: udp?.nodePort })),
      ];
      const aPod = expect.stringMatching(/^web-/) as string;
      const wanted = ways.map(() => ({ http: [aPod, aPod, aPod, aPod], udp: aPod }));
      await Promise.all(
        clients.map(async ([who, client]) => {
          const asked = await client.run(process.execPath, [ask, JSON.stringify(ways)]);
          expect(JSON.parse(printed(asked)), `${who}, ${JSON.stringify(ways)}`).toEqual(wanted);
        }),
      );
    });
  });

  it("in user space the Ingress still has the node's ports, beside cluster IPs with the same", async () => {
    for (const host of ["10.41.0.1", "[fd00:10:41::1]"]) {
      const options = ["-gs", "-m", "20", "-o", "/dev/null", "-w", "%{http_code}"];
      expect(printed(await lab.run("curl", [...options, `http://${host}/`]))).toBe("404");
    }
  });

  it("a start that names no ranges keeps them, and one that names others is refused", async () => {
    const stopped = await cluster.fairlead(["down", "--dir", cluster.dir]);
    expect(stopped.code, stopped.stderr).toBe(0);
    const other = await cluster.fairlead(["up", "--detach", "--dir", cluster.dir, "--service-cidr", "10.98.0.0/16"]);
    expect(other.code).toBe(2);
    expect(other.stderr).toContain("--service-cidr 10.98.0.0/16: this cluster has 10.96.0.0/16,fd00:10:96::/112");
  });
});
