import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Finding } from "../../src/explain/index.ts";
import { eventually, printed, tearDown, type TestCluster, upCluster } from "../support/cluster.ts";
import { type Lab, noKernel, openLab } from "../support/lab.ts";
import { faults } from "./faults.ts";

describe("fairlead doctor on a cluster with faults in it", () => {
  let lab: Lab | undefined;
  let cluster: TestCluster | undefined;

  beforeAll(async () => {
    lab = await openLab(noKernel ? "unprivileged" : "root");
    cluster = await upCluster(lab);
    const list = faults.flatMap(({ name, objects }) => [
      { apiVersion: "v1", kind: "Namespace", metadata: { name } },
      ...objects.map((object) => {
        const { metadata, ...rest } = object as { metadata: object };
        return { ...rest, metadata: { ...metadata, namespace: name } };
      }),
    ]);
    const input = JSON.stringify({ apiVersion: "v1", kind: "List", items: list });
    printed(await cluster.kubectl(["create", "-f", "-"], { input }));
  });
  afterAll(() => tearDown(lab, cluster));

  const examine = async (args: readonly string[] = []): Promise<Finding[]> => {
    if (!cluster) throw new Error("there is no cluster");
    const { code, stdout, stderr } = await cluster.fairlead(["doctor", "--dir", cluster.dir, "-o", "json", ...args]);
    expect([0, 1], stderr).toContain(code);
    return JSON.parse(stdout) as Finding[];
  };
  const firstAbout = (findings: readonly Finding[], object: string) =>
    findings.find((finding) => object.split("|").includes(finding.object));

  test(`the first cause is named for each of ${faults.length} faults`, async () => {
    let last: Finding[] = [];
    // Pods take their time to start, to fail and to be told of.
    await eventually(
      "all faults",
      async () => {
        last = await examine();
        return faults.every(({ object, check }) => firstAbout(last, object)?.check === check) ? last : undefined;
      },
      60,
    ).catch(() => {});
    const seen = faults.map(({ object }) => firstAbout(last, object)?.check);
    expect(seen).toEqual(faults.map(({ check }) => check));
    for (const { name, object, says } of faults) {
      const { problem = "", evidence = [], remedy = "" } = firstAbout(last, object) ?? {};
      expect([problem, ...evidence, remedy].join("\n"), name).toMatch(says);
    }
  });

  test.skipIf(noKernel)("explain counts the connections that an endpoint has left after it was taken out", async () => {
    if (!cluster || !lab) throw new Error("there is no cluster");
    const [made, machine] = [cluster, lab];
    const { kubectl, dir } = made;
    const slice = (addresses: readonly string[]) => ({
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata: { name: "held-1", labels: { "kubernetes.io/service-name": "held" } },
      addressType: "IPv4",
      endpoints: addresses.map((address) => ({ addresses: [address] })),
      ports: [{ name: "", port: 9101 }],
    });
    const spec = { ports: [{ port: 80 }] };
    const service = { apiVersion: "v1", kind: "Service", metadata: { name: "held" }, spec };
    const apply = async (object: object) =>
      printed(await kubectl(["apply", "-f", "-"], { input: JSON.stringify(object) }));
    await apply(service);
    await apply(slice(["198.51.100.7"]));
    const vip = printed(await kubectl(["get", "service", "held", "-o", "jsonpath={.spec.clusterIP}"]));
    const server = `require("node:net").createServer((s) => s.on("error", () => {}).write("held")).listen(9101, "198.51.100.7")`;
    // Goes on until it is stopped; tries again while the Service is not in force yet.
    const client = `const net = require("node:net");
const go = () => net.connect(80, "${vip}").on("error", () => setTimeout(go, 100)).on("data", (d) => console.log(String(d)));
go();`;
    const running = [server, client].map((text) => machine.start(process.execPath, ["-e", text]));
    try {
      await eventually("a connection", async () => (running[1]?.output().includes("held") ? true : undefined));
      await apply(slice([]));
      await eventually("what is left", async () => {
        const said = printed(await made.fairlead(["explain", "service/held", "--dir", dir]));
        if (/^draining +198\.51\.100\.7:9101 {2}by node-1 {2}1 connection left, taken out \d+ s ago$/m.test(said))
          return true;
        throw new Error(said);
      });
    } finally {
      await Promise.all(running.map((one) => one.stop()));
      printed(await kubectl(["delete", "service/held", "endpointslice/held-1", "--ignore-not-found"]));
    }
    await eventually("none is left", async () => {
      const said = printed(await made.fairlead(["proxy", "status", "--dir", dir]));
      return said.includes("default/held") ? undefined : true;
    });
  });

  test("nothing is said of what works, and one namespace can be asked for", async () => {
    const findings = await examine(["-n", "no-service"]);
    const objects = new Set(findings.filter(({ object }) => object.includes("/")).map(({ object }) => object));
    expect([...objects]).toEqual(["Ingress no-service/site"]);
    expect((await examine()).some(({ object }) => object === "Service default/kubernetes")).toBe(false);
  });

  test.skipIf(noKernel)("a node's foreign rules and a second proxy are found", async () => {
    if (!lab) throw new Error("there is no lab");
    const rules = `table inet firewall {
      chain forward {
        type filter hook forward priority 0; policy drop;
        ct state established accept
        ip daddr 10.42.0.0/16 accept
        ip saddr 10.42.0.0/16 accept
      }
    }
    table ip kube-proxy {
      chain services { }
    }\n`;
    printed(await lab.run("nft", ["-f", "-"], { input: rules }));
    const findings = await examine();
    const about = (check: string) => findings.filter((finding) => finding.check === check);
    expect(about("foreign-rules-drop")).toMatchObject([{ severity: "error", object: "Node node-1" }]);
    expect(about("foreign-rules-drop")[0]?.problem).toContain("inet firewall, chain forward drops");
    expect(about("two-proxies")[0]?.problem).toContain("fairlead (nftables) and kube-proxy (nftables)");
    printed(await lab.run("nft", ["-f", "-"], { input: "delete table inet firewall\ndelete table ip kube-proxy\n" }));
    expect((await examine()).filter(({ object }) => object === "Node node-1")).toEqual([]);
  });

  test.skipIf(noKernel)("a trace of what works agrees with the kernel, from a real pod", async () => {
    if (!cluster) throw new Error("there is no cluster");
    const words = ["--from", "service/no-service/web", "--to", "web.no-service:80", "--live", "-o", "json"];
    const { code, stdout, stderr } = await cluster.fairlead(["trace", "packet", "--dir", cluster.dir, ...words]);
    const { verdict, live } = JSON.parse(stdout) as { verdict: string; live: object };
    expect({ code, verdict, ...live }, stdout + stderr).toMatchObject({ code: 0, verdict: "forward", agrees: true });
  });

  test("diff tells what a Gateway and its route would change, with the API's own defaults", async () => {
    if (!cluster) throw new Error("there is no cluster");
    const apiVersion = "gateway.networking.k8s.io/v1";
    const items = [
      {
        apiVersion,
        kind: "Gateway",
        metadata: { name: "gw", namespace: "no-service" },
        spec: { gatewayClassName: "fairlead", listeners: [{ name: "http", port: 8123, protocol: "HTTP" }] },
      },
      {
        apiVersion,
        kind: "HTTPRoute",
        metadata: { name: "site", namespace: "no-service" },
        spec: {
          parentRefs: [{ name: "gw" }],
          rules: [
            {
              backendRefs: [
                { name: "web", port: 80 },
                { name: "nowhere", port: 80 },
              ],
            },
          ],
        },
      },
    ];
    const input = JSON.stringify({ apiVersion: "v1", kind: "List", items });
    const args = ["diff", "--dir", cluster.dir, "-f", "-", "-o", "json"];
    const { code, stdout, stderr } = await cluster.fairlead(args, { input });
    expect(code, stderr).toBe(1);
    const { changes } = JSON.parse(stdout) as { changes: { object: string; what: string; after?: string }[] };
    const after = (object: string, what: string) =>
      changes.find((one) => one.object === object && one.what.startsWith(what))?.after;
    expect(after("Gateway no-service/gw", "port 8123/TCP"), stdout).toBe("served");
    expect(after("HTTPRoute no-service/site", "at Gateway no-service/gw")).toMatch(/not ResolvedRefs: BackendNotFound/);
    expect(after("HTTPRoute no-service/site", "route any host Prefix /")).toContain(
      "Service no-service/web port 80 (weight 1)",
    );
  });

  test("the text has evidence and remedy, and the exit code says that there are errors", async () => {
    if (!cluster) throw new Error("there is no cluster");
    const { code, stdout } = await cluster.fairlead(["doctor", "--dir", cluster.dir, "-n", "wrong-label"]);
    expect(code).toBe(1);
    expect(stdout).toContain("ERROR   Service wrong-label/web: spec.selector (selector-matches-nothing)");
    expect(stdout).toContain('        => correct the selector or the pods\' labels: app is "web", not "wep"');
  });
});
