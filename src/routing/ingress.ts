import type { ConfigMap, EndpointSlice, Ingress, IngressClass, Secret, Service } from "../kube/index.ts";
import { isProvedByTls, leadsProofs, readProofs } from "./challenge.ts";
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
import { createIngressSelection, type IngressSelection } from "./ingress-selection.ts";
import type { Certificate, HostTable, Listener, ListenerProtocol, Owner, RoutingModel, Server } from "./model.ts";
import { poolKey, type PoolTarget } from "./pool.ts";
import { createPoolTable, type PoolSource, type PoolTable } from "./pool-table.ts";
import type { Problem } from "./problem.ts";
import { readIngress, type Reading } from "./reading.ts";
import { createTlsReader, type InspectKeyPair, type InspectSecret, inspectSecret, type TlsReader } from "./tls.ts";

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
    /** ConfigMaps that annotations and options name. Default: each is taken to be there, without data. */
    readonly configMap?: (key: string) => ConfigMap | undefined;
  };
  /** Secret, as `namespace/name`, with the certificate for names that have none. */
  readonly defaultCertificate?: string;
  /** Ports to listen on. */
  readonly ports: { readonly http: number; readonly https: number };
  /** Ports that the data plane opens for them, when something before it leads there. */
  readonly bindPorts?: { readonly http: number; readonly https: number };
  /** For who translates again and again; objects that are the same as before cost next to nothing then. */
  readonly memory?: TranslationMemory;
  /**
   * With `memory`: the Services (by themselves or by their EndpointSlices) and Secrets that may be others than at the last translation with it.
   * Default: all may, so each that is used is looked at.
   */
  readonly changed?: { readonly services: ReadonlySet<string>; readonly secrets: ReadonlySet<string> };
}

/**
 * What was worked out before. Without it, or after a translation that threw, a translation begins from nothing: with the same steps, so that
 * what is remembered is what would be made anew.
 */
export interface TranslationMemory {
  readonly select: IngressSelection;
  readonly readIngress: (ingress: Ingress) => Reading;
  readonly nginx: NginxMemory;
  readonly pools: PoolTable;
  readonly hosts: Hosts;
  readonly tls: TlsReader;
  readonly inspectSecret: InspectSecret;
}

export function createTranslationMemory(): TranslationMemory {
  const readings = new WeakMap<Ingress, Reading>();
  const pairs = new WeakMap<Secret, string | undefined>();
  return {
    select: createIngressSelection(),
    nginx: createNginxMemory(),
    pools: createPoolTable(),
    hosts: createHosts("Ingress"),
    tls: createTlsReader(),
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
  };
}

export interface Translation {
  readonly model: RoutingModel;
  readonly problems: readonly Problem[];
  /** The Ingresses that the model serves, oldest first. */
  readonly served: readonly Ingress[];
  /** What each pool of the model stands for, to make it anew when its endpoints change. */
  readonly targets: ReadonlyMap<string, PoolTarget>;
  /** Whether a Service, Secret or ConfigMap, by `namespace/name`, was asked for: a change of any other means nothing. */
  readonly uses: (kind: "Service" | "Secret" | "ConfigMap", key: string) => boolean;
}

const noOptions: NginxOptions = {};
const noData: ConfigMap = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "" } };

/** What Ingress objects mean (networking.k8s.io/v1). Faults become problems; all else still works. */
export function translateIngresses(input: IngressInput): Translation {
  const { memory = createTranslationMemory(), changed } = input;
  const { served, nginx, problems: unserved } = memory.select(input);
  const asked = { services: new Set<string>(), secrets: new Set<string>(), configMaps: new Set<string>() };
  const leading = served.filter(leadsProofs);
  const others = leading.length === 0 ? served : served.filter((ingress) => !leadsProofs(ingress));
  const configMapOf = input.nginx?.configMap ?? (() => noData);
  const compatible = readNginxIngresses(leading.length === 0 ? nginx : nginx.filter((each) => !leadsProofs(each)), {
    service: (key) => input.service(add(asked.services, key)),
    secret: (key) => input.secret(add(asked.secrets, key)),
    configMap: (key) => configMapOf(add(asked.configMaps, key)),
    options: input.nginx?.options ?? noOptions,
    httpsPort: input.ports.https,
    ...(input.nginx?.abilities ? { abilities: input.nginx.abilities } : {}),
    memory: memory.nginx,
  });
  const readings = others.map((ingress) => compatible.get(ingress) ?? memory.readIngress(ingress));
  const streams = readStreamServices(input.nginx?.streams ?? [], [input.ports.http, input.ports.https]);
  const { proofs, problems: unled } = readProofs(leading, others);
  const led = [...proofs.values()].map(({ target, route: { owner } }) => ({ target, owner }));
  const sources: PoolSource[] = [
    ...readings,
    ...[...streams.services, ...led].map(({ target, owner: { object, field } }) => ({
      object,
      backends: [{ key: poolKey(target), field, target }],
    })),
  ];
  const {
    pools,
    targets,
    problems: absent,
  } = memory.pools.read(sources, {
    service: input.service,
    slices: input.slices,
    ...(changed ? { changed: changed.services } : {}),
  });
  const shadowed: Problem[] = [];
  const hosts = memory.hosts.table(readings, (problem) => shadowed.push(problem));
  const tls = memory.tls.read(others, {
    secret: input.secret,
    inspect: (secret) => memory.inspectSecret(secret, input.inspect),
    ...(input.defaultCertificate === undefined ? {} : { defaultCertificate: input.defaultCertificate }),
    ...(changed ? { changed: changed.secrets } : {}),
  });

  const owner: Owner = { object: { kind: "IngressClass", name: input.controllerName }, field: "" };
  const server = { kind: "http", hostname: "", hosts, owner } as const;
  const secure = serversOf({ ...server, tls: { certificates: tls.certificates } }, readings, tls.certificates);
  const mixed = [...secure.values()].some(({ kind }) => kind === "stream");
  const proves = leading.length > 0 || others.some(isProvedByTls);
  const challenges = new Map([...proofs].map(([host, { route }]) => [host, route]));
  const listeners: RoutingModel["listeners"] = [
    listener("http", "HTTP", new Map([["", server]])),
    { ...listener("https", mixed ? "TLS" : "HTTPS", secure), ...(proves ? { challenges } : {}) },
    ...streams.services.map((each) => each.listener),
  ];
  const problems = [...unserved, ...readings.flatMap((each) => each.problems), ...absent, ...shadowed, ...tls.problems];
  return {
    model: { listeners, pools },
    problems: [...problems, ...streams.problems, ...unled],
    served,
    targets,
    uses: (kind, key) => {
      if (kind === "ConfigMap") return asked.configMaps.has(key);
      return kind === "Service"
        ? asked.services.has(key) || memory.pools.uses(key)
        : asked.secrets.has(key) || memory.tls.uses(key);
    },
  };

  function listener(name: "http" | "https", protocol: ListenerProtocol, servers: Listener["servers"]): Listener {
    const bindPort = input.bindPorts?.[name];
    const port = input.ports[name];
    return { name, port, ...(bindPort === undefined ? {} : { bindPort }), protocol, servers };
  }
}

function add(set: Set<string>, key: string): string {
  set.add(key);
  return key;
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
