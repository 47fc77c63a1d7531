import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { EndpointSlice, Ingress, Node, Pod, Service } from "../../src/kube/index.ts";
import { eventually, printed, tearDown, type TestCluster, upCluster } from "../support/cluster.ts";
import { type Lab, noKernel, openLab, repository } from "../support/lab.ts";
import { openOutsideClient, type OutsideClient } from "../support/outside-client.ts";

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
          ports: [{ containerPort: 8080 }]
          readinessProbe: { httpGet: { path: /readyz, port: 8080 }, periodSeconds: 1 }
---
apiVersion: v1
kind: Service
metadata: { name: web }
spec:
  type: LoadBalancer
  selector: { app: web }
  ports: [{ name: http, port: 80, targetPort: 8080 }]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: web }
spec:
  ingressClassName: fairlead
  rules:
    - host: web.test
      http:
        paths: [{ path: /, pathType: Prefix, backend: { service: { name: web, port: { number: 80 } } } }]
`;

describe.skipIf(noKernel)(`a cluster of IPv6 alone${noKernel ? ` (skipped: ${noKernel})` : ""}`, () => {
  let lab: Lab;
  let outside: OutsideClient;
  let cluster: TestCluster;
  let pods: Pod[];
  let web: Service;
  let ingress: Ingress;

  const json = async <T>(...args: string[]) => JSON.parse(printed(await cluster.kubectl([...args, "-o", "json"]))) as T;
  const ranges = ["--service-cidr", "fd00:10:96::/112", "--cluster-cidr", "fd00:10:42::/48"];

  beforeAll(async () => {
    lab = await openLab("root");
    outside = await openOutsideClient(lab, ["IPv6"]);
    cluster = await upCluster(lab, ["--nodes", "2", "--proxy-mode", "nftables", ...ranges]);
    printed(await cluster.kubectl(["apply", "-f", "-"], { input: manifests }));
    printed(await cluster.kubectl(["rollout", "status", "daemonset/web", "--timeout=60s"]));
    pods = (await json<{ items: Pod[] }>("get", "pods", "-l", "app=web")).items;
    web = await eventually("a load-balancer address", async () => {
      const found = await json<Service>("get", "service", "web");
      return found.status?.loadBalancer?.ingress ? found : undefined;
    });
    ingress = await eventually("the Ingress's status", async () => {
      const found = await json<Ingress>("get", "ingress", "web");
      return found.status?.loadBalancer?.ingress ? found : undefined;
    });
  });
  afterAll(async () => {
    await tearDown(lab, cluster);
    await outside?.close();
  });

  it("has no address of IPv4 anywhere", async () => {
    const nodes = (await json<{ items: Node[] }>("get", "nodes")).items;
    expect(nodes.map(({ status }) => status?.addresses?.map(({ address }) => address))).toEqual([
      ["fd00:10:41::1", "node-1"],
      ["fd00:10:41::2", "node-2"],
    ]);
    const range = expect.stringMatching(/^fd00:10:42:.*::?\/64$/) as string;
    expect(nodes.map(({ spec }) => spec.podCIDRs)).toEqual([[range], [range]]);
    expect(pods.flatMap(({ status }) => status?.podIPs ?? [])).toEqual(
      pods.map(() => ({ ip: expect.stringMatching(/^fd00:10:42:/) as string })),
    );
    const services = (await json<{ items: Service[] }>("get", "services", "-A")).items;
    const addresses = Object.fromEntries(services.map(({ metadata, spec }) => [metadata.name, spec.clusterIPs]));
    expect(addresses).toEqual({
      kubernetes: ["fd00:10:96::1"],
      "kube-dns": ["fd00:10:96::a"],
      web: [expect.stringMatching(/^fd00:10:96::/)],
    });
    const slices = (await json<{ items: EndpointSlice[] }>("get", "endpointslices", "-A")).items;
    expect(new Set(slices.map(({ addressType }) => addressType))).toEqual(new Set(["IPv6"]));
    expect(web.status?.loadBalancer?.ingress).toMatchObject([{ ip: expect.stringMatching(/^fd00:10:97::/) as string }]);
    expect(ingress.status?.loadBalancer?.ingress).toMatchObject([{ ip: "fd00:10:41::1" }]);
    const own = printed(await lab.run("ip", ["-4", "-o", "address", "show", "dev", "fairlead-lan"]));
    expect(own).toBe("");
  });

  it("the API answers at IPv6 addresses, which its certificate names; exec and logs work on every node", async () => {
    expect(await readFile(cluster.kubeconfig, "utf8")).toContain("server: https://[::1]:6443");
    const ready = await cluster.kubectl(["--server", "https://[fd00:10:41::1]:6443", "get", "--raw", "/readyz"]);
    expect(printed(ready)).toBe("ok");
    for (const { metadata } of pods) {
      const [name, env] = [metadata.name, 'echo "$KUBERNETES_SERVICE_HOST $KUBERNETES_PORT"'];
      expect(printed(await cluster.kubectl(["exec", name, "--", "sh", "-c", env])).trim()).toBe(
        "fd00:10:96::1 tcp://[fd00:10:96::1]:443",
      );
      expect((await cluster.kubectl(["logs", name])).code).toBe(0);
      const fromPod = ["exec", name, "--", "curl", "-sk", "-m", "15", "https://kubernetes.default.svc/readyz"];
      expect(printed(await cluster.kubectl(fromPod))).toBe("ok");
    }
  });

  it.each(["nftables", "userspace"])("%s leads pods by name, and who is outside by every way in", async (mode) => {
    if (mode !== "nftables") printed(await cluster.fairlead(["proxy", "switch", "--to", mode, "--dir", cluster.dir]));
    const names = pods.map(({ metadata }) => metadata.name);
    const podOf = (text: string) => (JSON.parse(text) as { pod: string }).pod;
    for (const name of names) {
      const asked = await cluster.kubectl(["exec", name, "--", "curl", "-sS", "-m", "15", "http://web.default/"]);
      expect(names).toContain(podOf(printed(asked)));
    }
    const { nodePort } = web.spec.ports?.[0] ?? {};
    const [balancer] = web.status?.loadBalancer?.ingress ?? [];
    const ways = [`[fd00:10:41::1]:${nodePort}`, `[fd00:10:41::2]:${nodePort}`, `[${balancer?.ip}]`];
    for (const way of ways) expect(names, way).toContain(podOf(await outside.get(`http://${way}/`)));
    const asked = JSON.parse(await outside.get("http://[fd00:10:41::1]/", "web.test")) as {
      pod: string;
      headers: Record<string, string>;
    };
    expect(names).toContain(asked.pod);
    expect(asked.headers["x-forwarded-for"]).toBe(outside.addresses.IPv6);
  });
});

it.skipIf(noKernel)(`a machine without IPv6 is told so${noKernel ? ` (skipped: ${noKernel})` : ""}`, async () => {
  const lab = await openLab("root");
  try {
    const program = [join(repository, "fairlead"), "up", "--dir", join(lab.dir, "c"), "--service-cidr", "fd00:1::/112"];
    const { code, stderr } = await lab.run(process.execPath, program);
    expect(stderr).toContain("--service-cidr fd00:1::/112: this machine has no IPv6 address that others could reach");
    expect(stderr).toContain("--nodes 2");
    expect(code).toBe(2);
  } finally {
    await lab.close();
  }
});
