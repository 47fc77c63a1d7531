import type { EndpointSlice, Ingress, IngressClass, Secret, Service } from "../kube/index.ts";
import { createHostTable } from "./host-table.ts";
import { classSelector } from "./ingress-class.ts";
import { type NginxOptions, readNginxIngresses } from "./ingress-nginx/index.ts";
import type { Listener, ListenerProtocol, ObjectRef, Owner, Pool, RoutingModel, Server } from "./model.ts";
import { oldestFirst, refOf } from "./owner.ts";
import { createPoolMemory, poolOf, type Absence, type PoolTarget } from "./pool.ts";
import type { Problem } from "./problem.ts";
import { readIngress, type Reading } from "./reading.ts";
import { readTls, type InspectKeyPair } from "./tls.ts";

/** Look-ups are by `namespace/name`, so that a translation costs what the Ingresses use and not what exists. */
export interface IngressInput {
  readonly ingresses: readonly Ingress[];
  readonly classes: readonly IngressClass[];
  readonly service: (key: string) => Service | undefined;
  /** EndpointSlices of a Service. */
  readonly slices: (key: string) => readonly EndpointSlice[];
  readonly secret: (key: string) => Secret | undefined;
  readonly inspect: InspectKeyPair;
  /** `spec.controller` of the classes that are ours. */
  readonly controllerName: string;
  /** Ingresses of these classes mean what they mean to ingress-nginx. Default: there are none. */
  readonly nginx?: { readonly controllers: readonly string[]; readonly options: NginxOptions };
  /** Ports to listen on. */
  readonly ports: { readonly http: number; readonly https: number };
  /** Ports that the data plane opens for them, when something before it leads there. */
  readonly bindPorts?: { readonly http: number; readonly https: number };
  /** For who translates again and again; objects that are the same as before cost next to nothing then. */
  readonly memory?: TranslationMemory;
}

/** What was worked out before, by object. */
export interface TranslationMemory {
  readonly readIngress: (ingress: Ingress) => Reading;
  readonly poolOf: typeof poolOf;
  /** Forgets all other pools; Ingresses are forgotten with their objects. */
  keepPools(keys: { has(key: string): boolean }): void;
}

export function createTranslationMemory(): TranslationMemory {
  const readings = new WeakMap<Ingress, Reading>();
  const pools = createPoolMemory();
  return {
    readIngress(ingress) {
      let reading = readings.get(ingress);
      if (!reading) readings.set(ingress, (reading = readIngress(ingress)));
      return reading;
    },
    poolOf: (...args) => pools.poolOf(...args),
    keepPools: (keys) => pools.keep(keys),
  };
}

export interface Translation {
  readonly model: RoutingModel;
  readonly problems: readonly Problem[];
  /** The Ingresses that the model serves, oldest first. */
  readonly served: readonly Ingress[];
  /** What each pool of the model stands for, to make it anew when its endpoints change. */
  readonly targets: ReadonlyMap<string, PoolTarget>;
}

/** What Ingress objects mean (networking.k8s.io/v1). Faults become problems; all else still works. */
export function translateIngresses(input: IngressInput): Translation {
  const memory = input.memory ?? { readIngress, poolOf };
  const problems: Problem[] = [];
  const pools = new Map<string, Pool>();
  const absences = new Map<string, Absence>();
  const targets = new Map<string, PoolTarget>();
  const hosts = createHostTable("Ingress", (problem) => problems.push(problem));

  const { served, nginx } = selectServed(input, problems);
  const compatible = readNginxIngresses(nginx, { ...input, options: input.nginx?.options ?? {} });
  for (const ingress of served) {
    const reading = compatible.get(ingress) ?? memory.readIngress(ingress);
    problems.push(...reading.problems);
    for (const backend of reading.backends) {
      if ("unsupported" in backend) pools.set(backend.key, backend.unsupported);
      else addPool(refOf(ingress), backend.key, backend.target, backend.field);
    }
    for (const host of reading.hosts) hosts.addHost(host, reading.mergeSlashes);
    for (const route of reading.routes) hosts.add(route);
    if (reading.fallback) hosts.addDefault(reading.fallback, reading.hosts);
  }
  const table = hosts.finish();
  const tls = readTls(served, input);
  problems.push(...tls.problems);

  const owner: Owner = { object: { kind: "IngressClass", name: input.controllerName }, field: "" };
  const server: Server = { kind: "http", hostname: "", hosts: table, owner };
  const secure: Server = { ...server, tls: { certificates: tls.certificates } };
  const listeners: RoutingModel["listeners"] = [listener("http", "HTTP", server), listener("https", "HTTPS", secure)];
  return { model: { listeners, pools }, problems, served, targets };

  function listener(name: "http" | "https", protocol: ListenerProtocol, only: Server): Listener {
    const bindPort = input.bindPorts?.[name];
    const port = input.ports[name];
    return { name, port, ...(bindPort === undefined ? {} : { bindPort }), protocol, servers: new Map([["", only]]) };
  }

  function addPool(object: ObjectRef, key: string, target: PoolTarget, field: string): void {
    const serviceKey = `${target.namespace}/${target.service}`;
    if (!targets.has(key)) {
      const { pool, absence } = memory.poolOf(target, input.service(serviceKey), input.slices(serviceKey));
      pools.set(key, pool);
      targets.set(key, target);
      if (absence) absences.set(key, absence);
    }
    const absence = absences.get(key);
    if (!absence) return;
    problems.push({
      object,
      field: `${field}.service${absence === "ServicePortNotFound" ? ".port" : ".name"}`,
      reason: absence,
      message: `${pools.get(key)?.absent ?? ""}; its requests get 503`,
      remedy: remedyOf(absence, target, input.service(serviceKey)),
    });
  }
}

function remedyOf(absence: Absence, target: PoolTarget, service: Service | undefined): string {
  const ports = (service?.spec.ports ?? []).map(({ name, port }) => (name ? `${name} (${port})` : String(port)));
  const remedies: Record<Absence, string> = {
    ServiceNotFound: `create Service ${target.service} in namespace ${target.namespace}, or correct the name`,
    ServicePortNotFound: `name one of its ports: ${ports.join(", ")}`,
    UnsupportedService: "use a Service with endpoints that speak HTTP",
  };
  return remedies[absence];
}

function selectServed(input: IngressInput, problems: Problem[]): { served: Ingress[]; nginx: Ingress[] } {
  const select = classSelector(input.classes, input.controllerName, input.nginx?.controllers);
  const compatible = new Set<Ingress>();
  const served = input.ingresses.filter((ingress) => {
    const { ours, nginx, problem } = select(ingress);
    if (problem) problems.push(problem);
    if (nginx) compatible.add(ingress);
    return ours;
  });
  const ordered = oldestFirst(served);
  return { served: ordered, nginx: ordered.filter((ingress) => compatible.has(ingress)) };
}
