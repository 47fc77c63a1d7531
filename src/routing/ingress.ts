import type { EndpointSlice, Ingress, IngressClass, Secret, Service } from "../kube/index.ts";
import { classSelector } from "./ingress-class.ts";
import { createHosts, type Hosts } from "./hosts.ts";
import {
  createNginxMemory,
  type NginxAbilities,
  type NginxMemory,
  type NginxOptions,
  readNginxIngresses,
  readStreamServices,
  type StreamServices,
} from "./ingress-nginx/index.ts";
import type {
  Certificate,
  HostTable,
  Listener,
  ListenerProtocol,
  ObjectRef,
  Owner,
  Pool,
  RoutingModel,
  Server,
} from "./model.ts";
import { oldestFirst, refOf } from "./owner.ts";
import { createPoolMemory, type poolOf, poolKey, type Absence, type PoolTarget } from "./pool.ts";
import type { Problem } from "./problem.ts";
import { readIngress, type Reading } from "./reading.ts";
import { type InspectKeyPair, type InspectSecret, inspectSecret, readTls } from "./tls.ts";

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
  readonly nginx?: {
    readonly controllers: readonly string[];
    readonly options: NginxOptions;
    /** What the data plane can do for them. Default: all of it. */
    readonly abilities?: NginxAbilities;
    /** Its ConfigMaps of ports for TCP and UDP. */
    readonly streams?: readonly StreamServices[];
  };
  /** Secret, as `namespace/name`, with the certificate for names that have none. */
  readonly defaultCertificate?: string;
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
  readonly hosts: Hosts;
  readonly nginx: NginxMemory;
  readonly inspectSecret: InspectSecret;
  /** Forgets all other pools; Ingresses are forgotten with their objects. */
  keepPools(keys: { has(key: string): boolean }): void;
}

export function createTranslationMemory(): TranslationMemory {
  const readings = new WeakMap<Ingress, Reading>();
  const pools = createPoolMemory();
  const pairs = new WeakMap<Secret, string | undefined>();
  return {
    hosts: createHosts("Ingress"),
    nginx: createNginxMemory(),
    // The object is another one whenever its data are.
    inspectSecret(secret, inspect) {
      if (!pairs.has(secret)) pairs.set(secret, inspectSecret(secret, inspect));
      return pairs.get(secret);
    },
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

const noOptions: NginxOptions = {};

/** What Ingress objects mean (networking.k8s.io/v1). Faults become problems; all else still works. */
export function translateIngresses(input: IngressInput): Translation {
  const memory = input.memory ?? createTranslationMemory();
  const problems: Problem[] = [];
  const pools = new Map<string, Pool>();
  const absences = new Map<string, Absence>();
  const targets = new Map<string, PoolTarget>();
  const { served, nginx } = selectServed(input, problems);
  const compatible = readNginxIngresses(nginx, {
    service: input.service,
    secret: input.secret,
    options: input.nginx?.options ?? noOptions,
    ...(input.nginx?.abilities ? { abilities: input.nginx.abilities } : {}),
    memory: memory.nginx,
  });
  const readings: Reading[] = [];
  for (const ingress of served) {
    const reading = compatible.get(ingress) ?? memory.readIngress(ingress);
    readings.push(reading);
    problems.push(...reading.problems);
    for (const backend of reading.backends) {
      if ("unsupported" in backend) pools.set(backend.key, backend.unsupported);
      else addPool(refOf(ingress), backend.key, backend.target, backend.field);
    }
  }
  const table = memory.hosts.table(readings, (problem) => problems.push(problem));
  const tls = readTls(served, {
    secret: input.secret,
    inspect: (secret) => memory.inspectSecret(secret, input.inspect),
    ...(input.defaultCertificate === undefined ? {} : { defaultCertificate: input.defaultCertificate }),
  });
  problems.push(...tls.problems);

  const owner: Owner = { object: { kind: "IngressClass", name: input.controllerName }, field: "" };
  const server = { kind: "http", hostname: "", hosts: table, owner } as const;
  const secure = serversOf({ ...server, tls: { certificates: tls.certificates } }, readings, tls.certificates);
  const mixed = [...secure.values()].some(({ kind }) => kind === "stream");
  const streams = readStreamServices(input.nginx?.streams ?? [], [input.ports.http, input.ports.https]);
  problems.push(...streams.problems);
  for (const { target, owner: by } of streams.services) addPool(by.object, poolKey(target), target, by.field);
  const listeners: RoutingModel["listeners"] = [
    listener("http", "HTTP", new Map([["", server]])),
    listener("https", mixed ? "TLS" : "HTTPS", secure),
    ...streams.services.map((each) => each.listener),
  ];
  return { model: { listeners, pools }, problems, served, targets };

  function listener(name: "http" | "https", protocol: ListenerProtocol, servers: Listener["servers"]): Listener {
    const bindPort = input.bindPorts?.[name];
    const port = input.ports[name];
    return { name, port, ...(bindPort === undefined ? {} : { bindPort }), protocol, servers };
  }

  function addPool(object: ObjectRef, key: string, target: PoolTarget, field: string): void {
    const serviceKey = (): string => `${target.namespace}/${target.service}`;
    if (!targets.has(key)) {
      const { pool, absence } = memory.poolOf(target, input.service(serviceKey()), input.slices(serviceKey()));
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
      remedy: remedyOf(absence, target, input.service(serviceKey())),
    });
  }
}

/** What TLS means for each name: `whole` for all that have no say of their own. The oldest Ingress has a host. */
function serversOf(
  whole: Server & { readonly kind: "http" },
  readings: readonly Reading[],
  certificates: ReadonlyMap<string, Certificate>,
): Map<string, Server> {
  const servers = new Map<string, Server>([["", whole]]);
  const taken = new Set<string>();
  for (const { servers: own = [] } of readings)
    for (const { hostname, tls, owner } of own) {
      if (taken.has(hostname)) continue;
      taken.add(hostname);
      if ("rule" in tls) {
        const streams = { exact: new Map(), wildcard: new Map(), any: tls };
        servers.set(hostname, { kind: "stream", hostname, streams, owner });
        continue;
      }
      // Only the certificates that this name may get: with all of them a change would cost what exists.
      const names = [hostname, `*${hostname.slice(Math.max(0, hostname.indexOf(".")))}`, ""];
      const few = names.flatMap((name) => {
        const certificate = certificates.get(name);
        return certificate ? [[name, certificate] as const] : [];
      });
      const all = hostname === "" ? certificates : new Map(few);
      const hosts = hostsUnder(whole.hosts, hostname);
      servers.set(hostname, { ...whole, hostname, hosts, tls: { certificates: all, clients: tls }, owner });
    }
  return servers;
}

/** The hosts that requests to a server of this name can be for: those of all others are misdirected there. */
function hostsUnder(table: HostTable, hostname: string): HostTable {
  if (hostname === "") return table;
  const suffix = hostname.slice(Math.max(0, hostname.indexOf(".")));
  const few = <T>(all: ReadonlyMap<string, T>, name: string): Map<string, T> => {
    if (hostname.startsWith("*.")) return new Map([...all].filter(([each]) => each.endsWith(suffix)));
    const only = all.get(name);
    return new Map(only === undefined ? [] : [[name, only]]);
  };
  return { ...table, exact: few(table.exact, hostname), wildcard: few(table.wildcard, suffix) };
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
