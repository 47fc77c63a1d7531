import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createEventRecorder, type Client, type Informers } from "../../client/index.ts";
import type { ServerCredentials } from "../../kubelet/index.ts";
import type { Proxy } from "../../proxy/index.ts";
import type { Clock, CommandRunner, Component, Logger } from "../../system/index.ts";
import type { Capabilities } from "../capabilities.ts";
import type { ClusterDirectory } from "../directory.ts";
import { supervise } from "../supervise.ts";
import type { AddressPlan } from "./addresses.ts";
import { ownRanges } from "./local-ranges.ts";

/** Port of every kubelet's HTTPS server, as on any Kubernetes node. */
export const kubeletPort = 10_250;

export const clusterDomain = "cluster.local";

/** Name of a node, by its number; the first is 1. */
export const nodeName = (number: number): string => `node-${number}`;

export interface NodeOptions {
  readonly number: number;
  readonly plan: AddressPlan;
  readonly capabilities: Pick<Capabilities, "network" | "proxyMode">;
  /** CIDRs of addresses that are no machine's: of Services and of load balancers. */
  readonly virtualRanges: readonly string[];
  readonly directory: ClusterDirectory;
  /** Commands by image name, beside the built-in images. */
  readonly images: Readonly<Record<string, readonly string[]>>;
  /** Where pods find the API when not at the Service `kubernetes`. */
  readonly apiServer?: { readonly address: string; readonly port: number };
  /** Of the kubelet's HTTPS server. */
  readonly credentials: ServerCredentials;
  readonly client: Client;
  /** Of the Service proxy, which is no node: `system:kube-proxy`. */
  readonly proxyClient: Client;
  /** Shared with the other parts of the process. */
  readonly informers: Informers;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
  readonly commands: CommandRunner;
}

/** The kubelet of a node. */
export function startNodeKubelet(options: NodeOptions): Component {
  const { number, plan, capabilities, virtualRanges, directory, images, credentials } = options;
  const { client, informers, clock, log, commands } = options;
  const name = nodeName(number);
  const dir = join(directory.kubelet, name);
  const [address = "", second] = plan.addressesOf(number);
  return supervise(
    `kubelet ${name}`,
    async (signal) => {
      const kubelet = await import("../../kubelet/index.ts");
      const network =
        capabilities.network === "namespaces"
          ? kubelet.createBridgeNetwork({ dir, commands, virtualRanges })
          : kubelet.createLoopbackNetwork({ dir });
      const mapped = Object.entries(images).map(([image, command]) => [image, { command }] as const);
      const runtime = kubelet.createProcessRuntime({
        dir,
        network,
        isolation:
          capabilities.network === "namespaces" ? kubelet.createNamespaceIsolation({ dir }) : kubelet.noIsolation,
        images: { ...kubelet.builtInImages(), ...Object.fromEntries(mapped) },
        clock,
      });
      signal.addEventListener("abort", () => runtime.close(), { once: true });
      return kubelet.startKubelet({
        client,
        informers,
        runtime,
        network,
        dir,
        credentials,
        signal,
        clock,
        log,
        nodeName: name,
        address,
        ...(second === undefined ? {} : { secondAddress: second }),
        port: kubeletPort,
        ...(options.apiServer ? { apiServer: options.apiServer } : {}),
        dns: {
          clusterServers: plan.dns,
          clusterDomain,
          node: kubelet.parseResolvConf(readFileSync("/etc/resolv.conf", "utf8")),
        },
      });
    },
    options,
  );
}

/** Who makes volumes, as RBAC knows it. */
export const localPathUser = "system:fairlead:local-path-provisioner";

/** Makes and removes the volumes of this machine's nodes: each is a directory of its node. */
export function startLocalVolumes(
  numbers: readonly number[],
  options: Pick<NodeOptions, "client" | "informers" | "directory" | "signal" | "clock" | "log">,
): Component {
  const names = numbers.map(nodeName);
  const nodes = new Map(names.map((name) => [name, join(options.directory.kubelet, name, "local-path")]));
  return supervise(
    "local path provisioner",
    async (signal) => {
      const { startLocalPathProvisioner } = await import("../../kubelet/index.ts");
      return startLocalPathProvisioner({ ...options, nodes, signal });
    },
    options,
  );
}

/** Unix socket on which the proxy of a node can be told to switch to another mode. */
export const proxySocket = (directory: ClusterDirectory, node: string): string =>
  join(directory.root, `proxy-${node}.sock`);

/** The Service proxy of a node. `addresses` are those that NodePorts answer on. `onStart` is given each new proxy. */
export function startNodeProxy(
  options: NodeOptions,
  addresses: readonly string[],
  onStart: (proxy: Proxy) => void = () => {},
): Component {
  const { number, plan, capabilities, proxyClient: client, informers, clock, log, commands } = options;
  const everywhere = plan.families.includes("IPv6") ? "::" : "0.0.0.0";
  const anyAddress = capabilities.network === "namespaces" ? everywhere : "127.0.0.1";
  return supervise(
    `proxy ${nodeName(number)}`,
    async (signal) => {
      const { startProxy } = await import("../../proxy/index.ts");
      const events = createEventRecorder(client, {
        component: "kube-proxy",
        host: nodeName(number),
        log,
        clock,
        signal,
      });
      const inKernel = {
        // What an earlier start in another mode left serves until this proxy does; then it goes.
        replaceOthers: true,
        ownAddresses: (own: boolean) => ownRanges(commands, own ? options.virtualRanges : []),
      };
      const proxy = await startProxy({
        client,
        events,
        informers,
        signal,
        clock,
        log,
        commands,
        nodeName: nodeName(number),
        mode: capabilities.proxyMode,
        nodeAddresses: addresses,
        podCidrs: plan.podCIDRs,
        serviceCidrs: plan.serviceCIDRs,
        // kube-proxy's own ports. Without pod networks nothing is open to other machines.
        status: {
          metrics: { address: "127.0.0.1", port: 10_249 },
          health: { address: anyAddress, port: 10_256 },
        },
        control: proxySocket(options.directory, nodeName(number)),
        ...(capabilities.network === "namespaces" ? inKernel : {}),
      });
      onStart(proxy);
      return proxy;
    },
    options,
  );
}
