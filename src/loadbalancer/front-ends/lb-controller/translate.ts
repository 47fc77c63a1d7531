import { keyOf, type EndpointSlice, type Ingress, type Secret, type Service } from "../../../kube/index.ts";
import {
  createHostTable,
  oldestFirst,
  poolOf,
  readTls,
  refOf,
  textOf,
  type Certificate,
  type HostTableBuilder,
  type Listener,
  type Owner,
  type Pool,
  type PoolTarget,
  type Problem,
  type Route,
  type RoutingModel,
  type Server,
} from "../../../routing/index.ts";
import type { Frontend } from "../../rancher/annotations.ts";
import { isRancherIngress, readRancherIngress, type RancherReading } from "./read.ts";

export interface RancherInput {
  readonly ingresses: readonly Ingress[];
  readonly service: (key: string) => Service | undefined;
  readonly slices: (key: string) => readonly EndpointSlice[];
  readonly secret: (key: string) => Secret | undefined;
  /** What is wrong with the key pair of a Secret; undefined: nothing. */
  readonly inspect: (secret: Secret) => string | undefined;
}

export interface RancherRoutes {
  readonly model: RoutingModel;
  readonly problems: readonly Problem[];
  /** Ports by `namespace/name` of the Ingresses that are served. */
  readonly served: ReadonlyMap<string, readonly number[]>;
  /** What the pools are made of, by key. */
  readonly targets: ReadonlyMap<string, PoolTarget>;
}

interface Port extends Frontend {
  /** Who came first. */
  readonly owner: Owner;
  readonly hosts: HostTableBuilder;
  readonly ingresses: Ingress[];
}

/** Translates the Ingresses of lb-controller: each opens its own ports, and those of one port share it. Pure, but for what it remembers. */
export function createRancherTranslator(): (input: RancherInput) => RancherRoutes {
  // An Ingress that changes is another object.
  const readings = new WeakMap<Ingress, RancherReading>();
  const read = (ingress: Ingress): RancherReading => {
    let found = readings.get(ingress);
    if (!found) readings.set(ingress, (found = readRancherIngress(ingress)));
    return found;
  };
  return (input) => translate(input, read);
}

function translate(input: RancherInput, read: (ingress: Ingress) => RancherReading): RancherRoutes {
  const problems: Problem[] = [];
  const ports = new Map<number, Port>();
  const pools = new Map<string, Pool>();
  const targets = new Map<string, PoolTarget>();
  const served = new Map<string, readonly number[]>();

  for (const ingress of oldestFirst(input.ingresses.filter(isRancherIngress))) {
    const one = read(ingress);
    problems.push(...one.problems);
    const opened: number[] = [];
    for (const frontend of one.frontends) {
      const port = portOf(frontend, ingress);
      if (!port) continue;
      port.ingresses.push(ingress);
      addRoutes(one, port);
      opened.push(frontend.port);
    }
    if (opened.length > 0) served.set(keyOf(ingress), opened);
  }

  const listeners: Listener[] = [];
  for (const port of [...ports.values()].sort((a, b) => a.port - b.port)) {
    const server: Server = { kind: "http", hostname: "", hosts: port.hosts.finish(), owner: port.owner };
    const at = { name: `${port.protocol} ${port.port}`, port: port.port, bindPort: port.port };
    if (port.protocol === "http") {
      listeners.push({ ...at, protocol: "HTTP", servers: new Map([["", server]]) });
      continue;
    }
    const tls = readTls(port.ingresses, { secret: input.secret, inspect: input.inspect });
    problems.push(...tls.problems);
    const certificates = withStandard(tls.certificates);
    // Without a single certificate nothing can be served.
    if (certificates.size > 0)
      listeners.push({ ...at, protocol: "HTTPS", servers: new Map([["", { ...server, tls: { certificates } }]]) });
  }
  return { model: { listeners, pools }, problems: withoutDoubles(problems), served, targets };

  function portOf({ port, protocol }: Frontend, ingress: Ingress): Port | undefined {
    const before = ports.get(port);
    if (before && before.protocol !== protocol) {
      problems.push({
        object: refOf(ingress),
        field: `metadata.annotations[${protocol}.port]`,
        reason: "Conflict",
        message: `${textOf(before.owner.object)} is older and serves ${before.protocol} on port ${port}`,
        remedy: "use another port",
      });
      return undefined;
    }
    if (before) return before;
    const owner: Owner = { object: refOf(ingress), field: "" };
    const hosts = createHostTable("Ingress", (problem) => problems.push(problem));
    const made = { port, protocol, owner, hosts, ingresses: [] };
    ports.set(port, made);
    return made;
  }

  function addRoutes({ ingress, reading, affinity, config }: RancherReading, { port, hosts }: Port): void {
    const balance = config.balanceOfPort.get(port) ?? config.balance;
    const names = new Map<string, string>();
    for (const backend of reading.backends) {
      if ("unsupported" in backend) {
        pools.set(backend.key, backend.unsupported);
        names.set(backend.key, backend.key);
        continue;
      }
      const target: PoolTarget = balance ? { ...backend.target, balance, variant: balance } : backend.target;
      const key = `${target.namespace}/${target.service}`;
      const { pool, absence } = poolOf(target, input.service(key), input.slices(key));
      pools.set(pool.key, pool);
      targets.set(pool.key, target);
      names.set(backend.key, pool.key);
      if (absence)
        problems.push({
          object: refOf(ingress),
          field: `${backend.field}.service`,
          reason: absence,
          message: `${pool.absent ?? ""}; its requests get 503`,
          remedy: "create the Service, or name one with this port",
        });
    }
    /** The route as this port has it. */
    const placed = (route: Route): Route => {
      const { rule } = route;
      const id = `${route.id} :${port}`;
      const backends = rule.backends.map((one) => ({
        ...one,
        ...(one.pool === undefined ? {} : { pool: names.get(one.pool) ?? one.pool }),
      }));
      return {
        ...route,
        id,
        rule: { ...rule, id, backends, timeouts: config.timeouts, ...(affinity ? { affinity } : {}) },
      };
    };
    for (const host of reading.hosts) hosts.addHost(host);
    for (const route of reading.routes) hosts.add(placed(route));
    if (reading.fallback) hosts.addDefault(placed(reading.fallback), reading.hosts);
  }
}

/** The first certificate is also the one for names that have none. */
function withStandard(certificates: ReadonlyMap<string, Certificate>): ReadonlyMap<string, Certificate> {
  const [first] = certificates.values();
  return first && !certificates.has("") ? new Map([...certificates, ["", { ...first, hostname: "" }]]) : certificates;
}

/** What two ports of one Ingress have in common is told once. */
function withoutDoubles(problems: readonly Problem[]): readonly Problem[] {
  return [
    ...new Map(
      problems.map((one) => [`${textOf(one.object)} ${one.field} ${one.reason} ${one.message}`, one]),
    ).values(),
  ];
}
