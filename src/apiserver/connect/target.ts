import { isIP } from "node:net";
import { resources, statusError, type Node, type Pod, type Service } from "../../kube/index.ts";
import { createServiceResolver, EgressError, hasSlices } from "../egress/index.ts";
import { notFound, type Registry } from "../registry/index.ts";
import type { Storage } from "../storage/index.ts";
import type { KubeletAddress, KubeletClient } from "../resources/index.ts";
import type { Backend } from "./pass-on.ts";

export interface TargetOptions {
  readonly registry: Registry;
  readonly storage: Storage;
  readonly kubelet: KubeletClient;
  /** Pods may have loopback addresses: a cluster without root lives on 127/8. */
  readonly allowLoopback: boolean;
}

/** Finds whom a proxy request is for. Throws StatusError as upstream's ResourceLocation. */
export interface Targets {
  pod(namespace: string, id: string): Promise<Backend>;
  service(namespace: string, id: string): Promise<Backend>;
  node(id: string): Promise<Backend>;
  kubelet(nodeName: string): Promise<Backend>;
}

export function createTargets({ registry, storage, kubelet, allowLoopback }: TargetOptions): Targets {
  const resolve = createServiceResolver(storage);

  const nodeOf = async (name: string): Promise<{ address: string; port: number }> => {
    const node = (await registry.get(resources.Node, "", name)).object as Node;
    const found = kubeletAddress(node);
    if (!found) throw statusError("InternalError", `Internal error occurred: no address of node ${name} is known`);
    return { address: found.host, port: found.port };
  };
  // A node says itself where it is: it may be on this machine, and nowhere that only this machine can reach.
  const kubeletAt = ({ address, port }: { address: string; port: number }): Backend => {
    checkAddress(address, true);
    return { host: address, port, tls: kubelet.tls ?? {} };
  };

  return {
    async pod(namespace, id) {
      const { scheme, name, port } = splitName(id, "pod");
      const pod = (await registry.get(resources.Pod, namespace, name)).object as Pod;
      const host = pod.status?.podIP ?? pod.status?.podIPs?.[0]?.ip ?? "";
      checkAddress(host, allowLoopback);
      const first = pod.spec?.containers.find((container) => (container.ports ?? []).length > 0)?.ports?.[0]
        ?.containerPort;
      const number = port === "" ? (first ?? (scheme === "https" ? 443 : 80)) : portNumber(port, id, "pod");
      return backendOf(scheme, host, number);
    },
    async service(namespace, id) {
      const { scheme, name, port } = splitName(id, "service");
      const service = (await registry.get(resources.Service, namespace, name)).object as Service;
      // Until somebody has said where it is there is nothing to lead to, which upstream tells in these words.
      if (service.spec?.type !== "ExternalName" && !hasSlices(storage, namespace, name))
        throw notFound(resources.Service, name);
      const servicePort = portOf(service, port);
      if (servicePort === undefined) throw unavailable(`no endpoints available for service ${JSON.stringify(name)}`);
      try {
        const { host, port: number } = resolve({ namespace, name, port: servicePort });
        checkAddress(host, allowLoopback);
        return backendOf(scheme, host, number);
      } catch (error) {
        if (error instanceof EgressError) throw unavailable(error.message);
        throw error;
      }
    },
    async node(id) {
      const { scheme, name, port } = splitName(id, "node");
      const found = await nodeOf(name);
      if (port === "" || Number(port) === found.port) return kubeletAt(found);
      checkAddress(found.address, allowLoopback);
      return backendOf(scheme, found.address, portNumber(port, id, "node"));
    },
    kubelet: async (nodeName) => kubeletAt(await nodeOf(nodeName)),
  };
}

/** Where the kubelet of a node answers; undefined while that is not known. */
export function kubeletAddress({ status }: Node): KubeletAddress | undefined {
  const host = (status?.addresses ?? []).find(({ type }) => type === "InternalIP")?.address;
  const port = status?.daemonEndpoints?.kubeletEndpoint?.Port;
  return host !== undefined && port ? { host, port } : undefined;
}

/** `name`, `name:port` or `scheme:name:port`, as apimachinery's SplitSchemeNamePort. Throws StatusError BadRequest. */
export function splitName(id: string, what: string): { scheme: string; name: string; port: string } {
  const parts = id.split(":");
  const [scheme = "", name = "", port = ""] = parts.length === 3 ? parts : ["", ...parts];
  if (name === "" || parts.length > 3 || !["", "http", "https"].includes(scheme))
    throw statusError("BadRequest", `invalid ${what} request ${JSON.stringify(id)}`);
  return { scheme, name, port };
}

/** Number of the Service's port that a number or name means; undefined when a name means none. Throws StatusError ServiceUnavailable. */
function portOf({ metadata, spec }: Service, wanted: string): number | undefined {
  const ports = spec?.ports ?? [];
  if (!/^\d+$/.test(wanted)) return ports.find(({ name = "" }) => name === wanted)?.port;
  const found = ports.find(({ port }) => port === Number(wanted));
  if (!found) throw unavailable(`no service port ${wanted} found for service ${JSON.stringify(metadata.name)}`);
  return found.port;
}

function portNumber(port: string, id: string, what: string): number {
  const number = Number(port);
  if (!/^\d+$/.test(port) || number < 1 || number > 65_535)
    throw statusError("BadRequest", `invalid ${what} request ${JSON.stringify(id)}`);
  return number;
}

function backendOf(scheme: string, host: string, port: number): Backend {
  return { host, port, ...(scheme === "https" ? { tls: {} } : {}) };
}

/** Nobody may reach this machine's own services by a pod's address (upstream's IsProxyableIP). */
function checkAddress(host: string, allowLoopback: boolean): void {
  const family = isIP(host);
  if (family === 0)
    throw statusError("BadRequest", host === "" ? "address not allowed" : `address ${host} not allowed`);
  const lower = host.toLowerCase();
  const loopback = family === 4 ? host.startsWith("127.") : lower === "::1" || lower.startsWith("::ffff:");
  const local =
    family === 4
      ? host.startsWith("169.254.") || host === "0.0.0.0" || Number(host.split(".")[0]) >= 224
      : lower === "::" || /^fe[89ab]/.test(lower) || lower.startsWith("ff");
  if (local || (loopback && !allowLoopback)) throw statusError("BadRequest", "address not allowed");
}

function unavailable(message: string): Error {
  return statusError("ServiceUnavailable", message, {});
}
