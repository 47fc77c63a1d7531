import { type Client, type EventRecorder, type Informer, type Informers, startController } from "../../client/index.ts";
import { type EndpointSlice, keyOf, type KubeObject, nameOfKey, type ObjectName, resources } from "../../kube/index.ts";
import {
  changedKeys,
  createGatewayMemory,
  type GatewayInput,
  gatewayResources as kinds,
  type GatewayTranslation,
  readKeyPair,
  translateGateways,
} from "../../routing/index.ts";
import { serviceOfSlice } from "../../services/index.ts";
import type { Clock, Component, Logger, Metrics } from "../../system/index.ts";
import { certificateNames, inspectAuthorities, inspectKeyPair, rememberingInspect } from "../certificate.ts";
import type { BoundListener, DataPlane } from "../dataplane.ts";
import { createGatewayClasses, httpRouteDefinition } from "./classes.ts";
import { createFrontends } from "./apply-frontends.ts";
import { gatewayControllerName } from "./controller-name.ts";
import { whenInstalled } from "./definitions.ts";
import { gatewayOf } from "./frontends.ts";
import { createBindPorts, type BindPorts } from "./ports.ts";
import { replicasOf } from "./replicas.ts";
import { type Refusals, refusalsByObject } from "./refusals.ts";
import { createStatusWriter } from "./status-writer.ts";
import { createKeyPairs } from "../key-pairs.ts";
import { keepMeanings } from "../meanings.ts";
import { createLastFault } from "../last-fault.ts";
import { createPace } from "../pace.ts";
import { problemPatience, tellProblems } from "../problem-events.ts";

const byService = "gateway/service";
const byGateway = "gateway/gateway";
/** Milliseconds that whoever does not lead leaves a change of replicas to who does. */
const followPatience = 1_000;

export interface GatewayOptions {
  readonly client: Client;
  readonly informers: Informers;
  readonly dataplane: DataPlane;
  /** Addresses of this host, by which the Services of Gateways lead to the data plane. */
  readonly addresses: () => readonly string[];
  /** Service that leads to all processes that serve these Gateways, this one among them. Absent: no other does. */
  readonly replicas?: Required<ObjectName>;
  /** This process makes Services and writes statuses; absent, it always does. The others serve what they see. */
  readonly leading?: () => boolean;
  /** Called whenever `current` answers differently. */
  readonly onServed?: () => void;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
  readonly events: EventRecorder;
  /** Told of the queue. */
  readonly metrics?: Metrics;
}

/** The Gateway controller: `ready` settles when the Gateways that existed at the start are served. */
export interface GatewayController extends Component {
  listeners(): readonly BoundListener[];
  /** The last translation; endpoints may have changed since. `undefined` before `ready`. */
  current(): GatewayTranslation | undefined;
  /** Why not every route that is known is served; `undefined` when each is, and where the cluster does not have the Gateway API. */
  unserved(): string | undefined;
  /** The data plane can do other things now. */
  translateAgain(): void;
  /** `leading` answers differently now. */
  refresh(): void;
}

/**
 * Keeps a data plane serving what the Gateway API's objects of Fairlead's classes say, and writes back what became of them.
 * It begins once the cluster has the Gateway API's kinds.
 */
export function startGateway(options: GatewayOptions): GatewayController {
  const { client, dataplane, signal, clock } = options;
  let running: GatewayController | undefined;
  let known = false;
  const started = whenInstalled(client, signal, clock, () => (known = true)).then(() => (running = run(options)));
  const ready = started.then((controller) => controller.ready);
  const ended = started
    .then((controller) => controller.stopped)
    .catch((error: unknown) => {
      if (!signal.aborted) throw error;
    });
  ready.catch(() => {});
  return {
    name: "gateway",
    ready,
    stopped: ended.then(() => dataplane.stopped),
    listeners: () => dataplane.listeners(),
    current: () => running?.current(),
    unserved: () =>
      running ? running.unserved() : known ? undefined : "whether the cluster has Gateways is not known",
    translateAgain: () => running?.translateAgain(),
    refresh: () => running?.refresh(),
  };
}

function run(options: GatewayOptions): GatewayController {
  const { client, informers, dataplane, signal, clock, log } = options;
  const leading = options.leading ?? (() => true);
  const replicas = options.replicas && keyOf({ metadata: options.replicas });
  const gatewayKinds = {
    classes: informers.of(kinds.GatewayClass),
    gateways: informers.of(kinds.Gateway),
    sets: informers.of(kinds.ListenerSet),
    http: informers.of(kinds.HTTPRoute),
    grpc: informers.of(kinds.GRPCRoute),
    tls: informers.of(kinds.TLSRoute),
    tcp: informers.of(kinds.TCPRoute),
    udp: informers.of(kinds.UDPRoute),
    grants: informers.of(kinds.ReferenceGrant),
    policies: informers.of(kinds.BackendTLSPolicy),
  };
  const definitions = informers.metadataOf(resources.CustomResourceDefinition);
  const namespaces = informers.of(resources.Namespace);
  const services = informers.of(resources.Service, { [byGateway]: gatewayOf });
  const secrets = informers.of(resources.Secret);
  const configMaps = informers.of(resources.ConfigMap);
  const slices = informers.of(resources.EndpointSlice, { [byService]: serviceOf, [byGateway]: gatewayOf });
  const inspect = rememberingInspect(inspectKeyPair);
  const keyPair = createKeyPairs((name) => secrets.get(name));
  let memory = createGatewayMemory();
  /** What `memory` was translated for. */
  let { capabilities } = dataplane;
  /** Why the last change is not served. */
  const fault = createLastFault();
  const meanings = {
    classes: keepMeanings(gatewayKinds.classes, meansTheSame),
    gateways: keepMeanings(gatewayKinds.gateways, meansTheSame),
    sets: keepMeanings(gatewayKinds.sets, meansTheSame),
    http: keepMeanings(gatewayKinds.http, meansTheSame),
    grpc: keepMeanings(gatewayKinds.grpc, meansTheSame),
    tls: keepMeanings(gatewayKinds.tls, meansTheSame),
    tcp: keepMeanings(gatewayKinds.tcp, meansTheSame),
    udp: keepMeanings(gatewayKinds.udp, meansTheSame),
    policies: keepMeanings(gatewayKinds.policies, meansTheSame),
  };

  /** The last translation, and the last that is served. */
  let translated: GatewayTranslation | undefined;
  let current: GatewayTranslation | undefined;
  /** What has changed since the last translation: Services with their EndpointSlices, and labels of Namespaces. */
  let changed = { services: new Set<string>(), namespaces: new Set<string>() };
  /** Services whose pools are to be made anew. */
  const changedServices = new Set<string>();
  /** What the data plane said that it cannot do. */
  let refusals: Refusals = new Map();
  let ports: BindPorts | undefined;
  /** Reports of routes that statuses were asked to be written for. Absent before the first. */
  let spoken: GatewayTranslation["routes"] | undefined;
  const pace = createPace(clock);
  const tell = tellProblems(options.events, ({ kind, namespace = "", name }) =>
    (Object.values(gatewayKinds) as Informer<KubeObject>[])
      .find(({ resource }) => resource.kind === kind)
      ?.get({ namespace, name }),
  );
  let begun = false;
  let isReady = (): void => {};
  const ready = new Promise<void>((resolve, reject) => {
    isReady = resolve;
    signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
  });
  ready.catch(() => {});

  const classes = createGatewayClasses({
    client,
    classes: gatewayKinds.classes,
    capabilities: () => dataplane.capabilities,
    signal,
    clock,
  });
  const frontends = createFrontends({
    client,
    services,
    slices,
    index: byGateway,
    addresses: options.addresses,
    replicas: () => replicasOf(options.addresses(), replicas === undefined ? [] : slices.by(byService, replicas)),
    signal,
  });
  const writer = createStatusWriter({ client, signal, clock, controllerName: gatewayControllerName });

  const controller = startController({
    name: "gateway",
    after: [...Object.values(gatewayKinds), namespaces, services, secrets, configMaps, slices].map(
      ({ synced }) => synced,
    ),
    reconcile: (key) => fault.watch(key === "model" ? applyModel() : applyPools()),
    signal,
    clock,
    log,
    ...(options.metrics ? { metrics: options.metrics } : {}),
  });
  // What is written back has a queue of its own: thousands of statuses are in no route's way.
  const writing = startController({
    name: "gateway-status",
    after: [controller.ready],
    concurrency: 4,
    reconcile: async (key) => {
      const [what = "", ...rest] = key.split(" ");
      const name = rest.join(" ");
      if (what === "frontend") await applyFrontend(name);
      else if (!leading()) return;
      else if (what === "class") await classes.reconcile(name);
      else if (what === "problems") tell(current?.problems ?? []);
      else if (what === "statuses") enqueueStatuses();
      else await writeStatus(what, name);
    },
    signal,
    clock,
    log,
    ...(options.metrics ? { metrics: options.metrics } : {}),
  });

  const translateSoon = (): void => {
    if (begun) controller.enqueueAfter("model", pace.wait());
  };
  for (const informer of Object.values(gatewayKinds) as Informer<KubeObject>[])
    informer.onChange(({ before, after }) => {
      if (after && informer.resource.kind === "GatewayClass") writing.enqueue(`class ${keyOf(after)}`);
      if (before && after && meansTheSame(before, after)) {
        // Somebody wrote into its status; what is ours is put right.
        if (begun) writing.enqueue(`${informer.resource.kind} ${keyOf(after)}`);
      } else translateSoon();
    });
  definitions.onChange(({ after }) => {
    // Another channel of the definitions has other features.
    if (after?.metadata.name !== httpRouteDefinition || !begun) return;
    for (const each of gatewayKinds.classes.list()) writing.enqueue(`class ${keyOf(each)}`);
  });
  namespaces.onChange(({ before, after }) => {
    const { name } = (after ?? before)?.metadata ?? {};
    if (name === undefined || !translated?.uses("Namespace", name)) return;
    if (JSON.stringify(before?.metadata.labels) === JSON.stringify(after?.metadata.labels)) return;
    changed.namespaces.add(name);
    translateSoon();
  });
  services.onChange(({ before, after }) => {
    const service = after ?? before;
    if (!service || !begun) return;
    if (translated?.uses("Service", keyOf(service))) {
      changed.services.add(keyOf(service));
      translateSoon();
    }
    const [gateway] = gatewayOf(service);
    if (gateway === undefined) return;
    writing.enqueue(`frontend ${gateway}`);
    writing.enqueue("statuses");
  });
  for (const informer of [secrets, configMaps] as Informer<KubeObject>[])
    informer.onChange(({ before, after }) => {
      const object = after ?? before;
      const kind = informer === secrets ? "Secret" : "ConfigMap";
      if (object && translated?.uses(kind, keyOf(object))) translateSoon();
    });
  slices.onChange(({ before, after }) => {
    // Who leads has said by which ports all of them serve.
    if (after && !leading() && ports?.learn(after)) translateSoon();
    for (const key of [before, after].flatMap((slice) => (slice ? serviceOf(slice) : []))) {
      if (key === replicas) followReplicas();
      if (!translated?.uses("Service", key)) continue;
      changed.services.add(key);
      changedServices.add(key);
      controller.enqueue("pools");
    }
  });
  void controller.ready.then(
    () => {
      begun = true;
      writing.enqueue("class ");
      controller.enqueue("model");
    },
    () => {},
  );

  function translate(bindPorts: BindPorts): GatewayTranslation {
    changedServices.clear();
    if (capabilities !== dataplane.capabilities) {
      capabilities = dataplane.capabilities;
      memory = createGatewayMemory();
    }
    const since = changed;
    changed = { services: new Set(), namespaces: new Set() };
    const input: GatewayInput = {
      controllerName: gatewayControllerName,
      classes: meanings.classes.list(),
      gateways: meanings.gateways.list(),
      listenerSets: meanings.sets.list(),
      httpRoutes: meanings.http.list(),
      grpcRoutes: meanings.grpc.list(),
      tlsRoutes: meanings.tls.list(),
      tcpRoutes: meanings.tcp.list(),
      udpRoutes: meanings.udp.list(),
      grants: gatewayKinds.grants.list(),
      policies: meanings.policies.list(),
      namespaceLabels: (name) => namespaces.get({ name })?.metadata.labels,
      service: (key) => services.get(nameOfKey(key)),
      slices: (key) => slices.by(byService, key),
      secret: (key) => secrets.get(nameOfKey(key)),
      configMap: (key) => configMaps.get(nameOfKey(key)),
      inspect,
      inspectAuthorities,
      namesOf: ({ secret }) => {
        const found = secrets.get(secret);
        const pair = found && readKeyPair(found);
        return typeof pair === "object" ? certificateNames(pair.certificate) : [];
      },
      protocols: protocolsOf(dataplane),
      mixedTls: dataplane.capabilities.has("TLSRouteModeMixed"),
      endsTls: dataplane.capabilities.has("TLSRouteModeTerminate"),
      bindPort: (gateway, transport, port) => bindPorts.of(gateway, transport, port),
      memory,
      changed: since,
    };
    try {
      return (translated = translateGateways(input));
    } catch (error) {
      // Nobody knows how far it came.
      memory = createGatewayMemory();
      throw error;
    }
  }

  async function applyModel(): Promise<void> {
    const begin = clock.now();
    ports ??= createBindPorts(slices.list().filter((slice) => gatewayOf(slice).length > 0));
    const next = translate(ports);
    pace.spent(clock.now() - begin);
    const { refused } = await dataplane.apply({
      model: next.model,
      keyPair,
    });
    const gone = (current?.gateways ?? []).map(({ gateway }) => keyOf(gateway));
    current = next;
    const before = refusals;
    refusals = refusalsByObject(next.model, refused);
    // What a data plane refuses is in no report: who was refused, or is now, is spoken of again.
    for (const key of [...before.keys(), ...refusals.keys()]) writing.enqueue(key);
    ports.keep(new Set(next.gateways.map(({ gateway }) => keyOf(gateway))));
    isReady();
    options.onServed?.();
    if (leading())
      for (const key of new Set([...gone, ...next.gateways.map(({ gateway }) => keyOf(gateway))]))
        writing.enqueue(`frontend ${key}`);
    enqueueStatuses();
    retakePorts(ports);
    writing.enqueueAfter("problems", problemPatience);
  }

  /** Who serves has changed. Those that do not lead wait a while: as a rule it is written then, and while nobody leads it has to be, too. */
  function followReplicas(): void {
    for (const { gateway } of current?.gateways ?? [])
      writing.enqueueAfter(`frontend ${keyOf(gateway)}`, leading() ? 0 : followPatience);
  }

  /** A port that somebody else has is left to him, and another one taken. */
  function retakePorts(bindPorts: BindPorts): void {
    if (!leading()) return;
    const failed = new Set(dataplane.listeners().flatMap(({ name, port }) => (port === undefined ? [name] : [])));
    const lost = (current?.model.listeners ?? []).filter(({ name }) => failed.has(name));
    for (const { bindPort, protocol } of lost)
      if (bindPort !== undefined) bindPorts.refuse(bindPort, protocol === "UDP" ? "UDP" : "TCP");
    if (lost.length > 0) controller.enqueueAfter("model", 200);
  }

  async function applyPools(): Promise<void> {
    if (!current) return;
    const keys = [...changedServices];
    changedServices.clear();
    await dataplane.updatePools(
      keys.flatMap((key) =>
        memory.pools
          .targetsOf(key)
          .map((target) => memory.pools.poolOf(target, services.get(nameOfKey(key)), slices.by(byService, key)).pool),
      ),
    );
  }

  async function applyFrontend(key: string): Promise<void> {
    const report = current?.gateways.find(({ gateway }) => keyOf(gateway) === key);
    if (report) await (leading() ? frontends.apply(report) : frontends.follow(report.gateway));
  }

  function enqueueStatuses(): void {
    if (!current || !leading()) return;
    for (const { gateway, listeners } of current.gateways) {
      writing.enqueue(`Gateway ${keyOf(gateway)}`);
      for (const { set } of listeners.sets) writing.enqueue(`ListenerSet ${keyOf(set)}`);
    }
    for (const { policy } of current.policies) writing.enqueue(`BackendTLSPolicy ${keyOf(policy)}`);
    const before = spoken;
    spoken = current.routes;
    // What we said of objects that no longer have to do with us is taken back; a process before this one may have said it.
    for (const name of changedKeys(before ?? new Map(), spoken)) writing.enqueue(name);
    if (before) return;
    for (const kind of ["http", "grpc", "tls", "tcp", "udp"] as const)
      for (const route of gatewayKinds[kind].list())
        if (route.status?.parents?.some(({ controllerName }) => controllerName === gatewayControllerName))
          writing.enqueue(`${gatewayKinds[kind].resource.kind} ${keyOf(route)}`);
  }

  async function writeStatus(kind: string, key: string): Promise<void> {
    if (!current) return;
    const bound = new Map(dataplane.listeners().map((listener) => [listener.name, listener]));
    const listener = (name: string): true | string | undefined => {
      const found = bound.get(name);
      if (!found) return undefined;
      return found.port === undefined ? (found.error ?? "the port cannot be opened") : true;
    };
    const informer = (Object.values(gatewayKinds) as Informer<KubeObject>[]).find(
      ({ resource }) => resource.kind === kind,
    );
    const object = informer?.get(nameOfKey(key));
    if (!informer || !object) return;
    // What was translated is not what is there now: the next translation speaks of it.
    await writer.write(informer.resource, object, current, refusals, (gateway) => ({
      listener,
      ...frontends.confirm(gateway),
    }));
  }

  return {
    name: "gateway",
    ready,
    stopped: Promise.all([controller.stopped, writing.stopped, dataplane.stopped]).then(() => {}),
    listeners: () => dataplane.listeners(),
    current: () => current,
    unserved: () => {
      if (!current) return "the cluster's Gateways are not served yet";
      return fault.text === undefined ? undefined : `the last change of Gateways is not served: ${fault.text}`;
    },
    translateAgain() {
      for (const each of gatewayKinds.classes.list()) writing.enqueue(`class ${keyOf(each)}`);
      translateSoon();
    },
    refresh() {
      // What another process has said before is looked at as a whole.
      spoken = undefined;
      if (!begun || !leading()) return;
      writing.enqueue("class ");
      for (const each of gatewayKinds.classes.list()) writing.enqueue(`class ${keyOf(each)}`);
      translateSoon();
    },
  };
}

function protocolsOf({ capabilities }: DataPlane): ReadonlySet<string> {
  const protocols = new Set<string>();
  if (capabilities.has("HTTPRoute")) protocols.add("HTTP").add("HTTPS");
  if (capabilities.has("TLSRoute")) protocols.add("TLS");
  if (capabilities.has("TCPRoute")) protocols.add("TCP");
  if (capabilities.has("UDPRoute")) protocols.add("UDP");
  return protocols;
}

/** True when only what controllers write differs, such as the status. Generations count specifications only. */
function meansTheSame({ metadata: a }: KubeObject, { metadata: b }: KubeObject): boolean {
  const same = a.uid === b.uid && a.generation === b.generation && a.deletionTimestamp === b.deletionTimestamp;
  // They say how names are proved, and have no generation.
  return same && (a.annotations === b.annotations || JSON.stringify(a.annotations) === JSON.stringify(b.annotations));
}

function serviceOf(slice: EndpointSlice): string[] {
  const service = serviceOfSlice(slice);
  return service === undefined ? [] : [service];
}
