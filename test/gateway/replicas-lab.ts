// A cluster's API in a lab, and processes of `fairlead ingress` there, each with an address of its own as a pod has it.
import { join } from "node:path";
import { clientPrograms } from "../../scripts/kubectl.mjs";
import { gatewayApi } from "../../src/apiserver/custom/index.ts";
import { eventually, printed } from "../support/cluster.ts";
import { type Lab, noKernel, openLab, repository, type Running } from "../support/lab.ts";

const programs = clientPrograms();
/** Why there can be none here. */
export const why = noKernel ?? (programs ? undefined : "kubectl is not installed: npm install");

const namespace = "fairlead";
const backendAddress = "198.51.100.7";
const backend = `require("node:http").createServer((q, a) => a.end('{"pod":"backend"}')).listen(8081, "${backendAddress}")`;

/** The Service that leads to the processes. */
export const edge = {
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: "edge", namespace },
  spec: { ports: [{ port: 80 }] },
};

const slice = (service: string, place: string, endpoints: object[], port: number) => ({
  apiVersion: "discovery.k8s.io/v1",
  kind: "EndpointSlice",
  metadata: { name: `${service}-1`, namespace: place, labels: { "kubernetes.io/service-name": service } },
  addressType: "IPv4",
  endpoints,
  ports: [{ name: "", port }],
});
const web = {
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: "web", namespace: "default" },
  spec: { clusterIP: "None", ports: [{ port: 80 }] },
};

export const gateway = (name: string) => ({
  apiVersion: "gateway.networking.k8s.io/v1",
  kind: "Gateway",
  metadata: { name, namespace: "default" },
  spec: { gatewayClassName: "fairlead", listeners: [{ name: "http", protocol: "HTTP", port: 80 }] },
});

/** Leads Gateways to the backend. */
export const routeOf = (...gateways: readonly string[]) => ({
  apiVersion: "gateway.networking.k8s.io/v1",
  kind: "HTTPRoute",
  metadata: { name: "web", namespace: "default" },
  spec: { parentRefs: gateways.map((name) => ({ name })), rules: [{ backendRefs: [{ name: "web", port: 80 }] }] },
});

/** What endpoint controllers say of a replica's pod: one that terminates still serves. */
export const replica = (address: string, is: "ready" | "unready" | "terminating" = "ready") => ({
  addresses: [address],
  conditions: { ready: is === "ready", serving: is !== "unready", terminating: is === "terminating" },
});

export interface ReplicasLab {
  readonly lab: Lab;
  readonly kubeconfig: string;
  readonly start: (...args: Parameters<Lab["start"]>) => Running;
  readonly kubectl: (args: readonly string[], input?: object) => Promise<string>;
  readonly apply: (object: object) => Promise<string>;
  /** Says where `edge` leads. */
  readonly replicasAre: (...endpoints: readonly object[]) => Promise<void>;
  /** `fairlead ingress` at an address, once it is ready. */
  readonly serve: (address: string, ...flags: readonly string[]) => Promise<Running>;
  /** The body of an answer; "" for none. */
  readonly curl: (url: string) => Promise<string>;
  readonly close: () => Promise<void>;
}

export async function openReplicas(addresses: readonly string[]): Promise<ReplicasLab> {
  const lab = await openLab("root");
  const running: Running[] = [];
  const start = (...args: Parameters<Lab["start"]>): Running => {
    const started = lab.start(...args);
    running.push(started);
    return started;
  };
  for (const address of addresses) printed(await lab.run("ip", ["address", "add", `${address}/32`, "dev", "uplink"]));
  const api = start(process.execPath, [join(repository, "fairlead"), "test-cluster"]);
  const kubeconfig = await eventually("the API", async () => /"kubeconfig":\s*"([^"]+)"/.exec(api.output())?.[1]);
  const kubectl = async (args: readonly string[], input?: object): Promise<string> =>
    printed(
      await lab.run(join(programs ?? "", "kubectl"), args, {
        env: { KUBECONFIG: kubeconfig },
        ...(input ? { input: JSON.stringify(input) } : {}),
      }),
    );
  const apply = (object: object): Promise<string> => kubectl(["apply", "-f", "-"], object);
  const curl = async (url: string): Promise<string> =>
    (await lab.run("curl", ["--silent", "--max-time", "10", url])).stdout;
  await kubectl(["create", "-f", "-"], { apiVersion: "v1", kind: "List", items: await gatewayApi() });
  await kubectl(["create", "namespace", namespace]);
  start(process.execPath, ["-e", backend]);
  for (const object of [web, slice("web", "default", [{ addresses: [backendAddress] }], 8081), edge])
    await apply(object);
  return {
    lab,
    kubeconfig,
    start,
    kubectl,
    apply,
    async replicasAre(...endpoints) {
      await apply(slice("edge", namespace, [...endpoints], 80));
    },
    async serve(address, ...flags) {
      const own = ["--address", address, "--gateway-address", address, "--status-address", `${address}:10254`];
      const which = ["--publish-service", `${namespace}/edge`, "--leader-elect-namespace", namespace];
      const program = [join(repository, "fairlead"), "ingress", "--kubeconfig", kubeconfig, "--control-socket", ""];
      const started = start(process.execPath, [...program, ...own, ...which, ...flags]);
      await eventually(`${address} is ready`, async () =>
        (await curl(`http://${address}:10254/readyz`)) === "ok\n" ? true : undefined,
      ).catch((error: unknown) => {
        throw new Error(`${String(error)}\n${started.output()}`);
      });
      return started;
    },
    curl,
    async close() {
      await Promise.all(running.map((each) => each.stop()));
      await lab.close();
    },
  };
}
