// Several `fairlead ingress` for one cluster: each serves every Gateway, and what is made for Gateways leads to all of them.
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { clientPrograms } from "../../scripts/kubectl.mjs";
import { gatewayApi } from "../../src/apiserver/custom/index.ts";
import type { EndpointSlice } from "../../src/kube/index.ts";
import { eventually, printed } from "../support/cluster.ts";
import { type Lab, noKernel, openLab, repository, type Running } from "../support/lab.ts";

const programs = clientPrograms();
const why = noKernel ?? (programs ? undefined : "kubectl is not installed: npm install");

const backend = `require("node:http").createServer((q, a) => a.end("backend")).listen(8081, "198.51.100.7")`;
const namespace = "fairlead";

const slice = (service: string, place: string, endpoints: object[], port: number) => ({
  apiVersion: "discovery.k8s.io/v1",
  kind: "EndpointSlice",
  metadata: { name: `${service}-1`, namespace: place, labels: { "kubernetes.io/service-name": service } },
  addressType: "IPv4",
  endpoints,
  ports: [{ name: "", port }],
});
const service = (name: string, place: string) => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { name, namespace: place },
  spec: { clusterIP: "None", ports: [{ port: 80 }] },
});
const gateway = (name: string) => ({
  apiVersion: "gateway.networking.k8s.io/v1",
  kind: "Gateway",
  metadata: { name, namespace: "default" },
  spec: { gatewayClassName: "fairlead", listeners: [{ name: "http", protocol: "HTTP", port: 80 }] },
});
const route = {
  apiVersion: "gateway.networking.k8s.io/v1",
  kind: "HTTPRoute",
  metadata: { name: "web", namespace: "default" },
  spec: { parentRefs: [{ name: "first" }, { name: "second" }], rules: [{ backendRefs: [{ name: "web", port: 80 }] }] },
};

/** What endpoint controllers say of a replica's pod. */
const replica = (address: string, ready = true) => ({
  addresses: [address],
  conditions: { ready, serving: ready, terminating: false },
});

describe.skipIf(why)(`replicas of fairlead ingress${why ? ` (${why})` : ""}`, () => {
  let lab: Lab;
  let kubeconfig: string;
  const running: Running[] = [];
  const [one, other] = ["198.51.100.11", "198.51.100.12"] as const;

  const start = (...args: Parameters<Lab["start"]>): Running => {
    const started = lab.start(...args);
    running.push(started);
    return started;
  };
  const kubectl = async (args: readonly string[], input?: object) =>
    printed(
      await lab.run(join(programs ?? "", "kubectl"), args, {
        env: { KUBECONFIG: kubeconfig },
        ...(input ? { input: JSON.stringify(input) } : {}),
      }),
    );
  const apply = (object: object) => kubectl(["apply", "-f", "-"], object);
  const replicasAre = (...endpoints: object[]) => apply(slice("edge", namespace, endpoints, 80));

  beforeAll(async () => {
    lab = await openLab("root");
    for (const address of [one, other])
      printed(await lab.run("ip", ["address", "add", `${address}/32`, "dev", "uplink"]));
    const api = start(process.execPath, [join(repository, "fairlead"), "test-cluster"]);
    kubeconfig = await eventually("the API", async () => /"kubeconfig":\s*"([^"]+)"/.exec(api.output())?.[1]);
    await kubectl(["create", "-f", "-"], { apiVersion: "v1", kind: "List", items: await gatewayApi() });
    await kubectl(["create", "namespace", namespace]);
    start(process.execPath, ["-e", backend]);
    const web = [service("web", "default"), slice("web", "default", [{ addresses: ["198.51.100.7"] }], 8081)];
    for (const object of [...web, service("edge", namespace), gateway("first"), route]) await apply(object);
    await replicasAre(replica(one), replica(other));
  }, 120_000);
  afterAll(async () => {
    await Promise.all(running.map((each) => each.stop()));
    await lab?.close();
  });

  /** `fairlead ingress` of one address, once it serves. */
  async function serve(address: string): Promise<Running> {
    const own = ["--address", address, "--gateway-address", address, "--status-address", `${address}:10254`];
    const which = ["--publish-service", `${namespace}/edge`, "--leader-elect-namespace", namespace];
    const process_ = start(process.execPath, [
      join(repository, "fairlead"),
      "ingress",
      "--kubeconfig",
      kubeconfig,
      "--control-socket",
      "",
      ...own,
      ...which,
    ]);
    await eventually(`${address} is ready`, async () =>
      (await curl(`http://${address}:10254/readyz`)) === "ok\n" ? true : undefined,
    ).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${process_.output()}`);
    });
    return process_;
  }
  const curl = async (url: string): Promise<string> =>
    (await lab.run("curl", ["--silent", "--max-time", "10", url])).stdout;
  const leads = (process_: Running): boolean => process_.output().includes("this one leads");

  /** Addresses that a Gateway's Service leads to, with the port. */
  async function led(name: string): Promise<{ readonly ready: readonly string[]; readonly port: number } | undefined> {
    const label = `gateway.networking.k8s.io/gateway-name=${name}`;
    const { items } = JSON.parse(await kubectl(["get", "endpointslices", "-l", label, "-o", "json"])) as {
      items: EndpointSlice[];
    };
    const [found] = items;
    const ready = found?.endpoints?.filter(({ conditions }) => conditions?.ready).flatMap(({ addresses }) => addresses);
    return found && { ready: ready ?? [], port: found.ports?.[0]?.port ?? 0 };
  }
  const leadsTo = (name: string, ...addresses: string[]): Promise<{ readonly port: number }> =>
    eventually(`Gateway ${name} is led to ${addresses.join(" and ")}`, async () => {
      const now = await led(name);
      return now && String(now.ready) === String(addresses) ? now : undefined;
    });

  test("each serves, and a Gateway follows those that are ready, whoever leads", { timeout: 180_000 }, async () => {
    const [first, second] = [await serve(one), await serve(other)];
    const { port } = await leadsTo("first", one, other);
    for (const address of [one, other])
      await eventually("it serves", async () =>
        (await curl(`http://${address}:${port}/`)) === "backend" ? true : undefined,
      );
    expect([leads(first), leads(second)]).toEqual([true, false]);

    // A leader that stops: the other makes what a new Gateway needs, and speaks of it.
    await first.stop();
    await replicasAre(replica(other));
    await leadsTo("first", other);
    await eventually("the other leads", async () => (leads(second) ? true : undefined));
    await apply(gateway("second"));
    const made = await leadsTo("second", other);
    expect(await curl(`http://${other}:${made.port}/`)).toBe("backend");
    const accepted = `jsonpath={.status.conditions[?(@.type=="Accepted")].status}`;
    await eventually("the other speaks of it", async () =>
      (await kubectl(["get", "gateway", "second", "-o", accepted])) === "True" ? true : undefined,
    );

    // A leader that is killed leaves nobody to lead for as long as its lease lasts.
    const third = await serve(one);
    await replicasAre(replica(one), replica(other));
    for (const name of ["first", "second"]) await leadsTo(name, one, other);
    expect((await leadsTo("first", one, other)).port).toBe(port);
    await second.stop("SIGKILL");
    await replicasAre(replica(one), replica(other, false));
    for (const name of ["first", "second"]) {
      const { port: at } = await leadsTo(name, one);
      expect(await curl(`http://${one}:${at}/`)).toBe("backend");
    }
    expect(leads(third)).toBe(false);
  });
});
