import { type Client, type EventRecorder, type Informer, type Informers, startController } from "../client/index.ts";
import {
  type ConfigMap,
  type EndpointSlice,
  type Ingress as IngressObject,
  type IngressLoadBalancerIngress,
  isStatus,
  type KubeObject,
  keyOf,
  resources,
  type Secret,
} from "../kube/index.ts";
import {
  createClaims,
  createTranslationMemory,
  type NginxOptions,
  type StreamServices,
  type Problem,
  routesOf,
  streamsOf,
  type IngressInput,
  translateIngresses,
  type Translation,
} from "../routing/index.ts";
import { serviceOfSlice } from "../services/index.ts";
import type { Clock, Component, Logger, Metrics } from "../system/index.ts";
import { inspectKeyPair, rememberingInspect } from "./certificate.ts";
import { createKeyPairs } from "./key-pairs.ts";
import type { BoundListener, DataPlane, Refusal } from "./dataplane.ts";
import { usersOf } from "./users.ts";
import { keepMeanings } from "./meanings.ts";
import { createLastFault } from "./last-fault.ts";
import { createPace } from "./pace.ts";
import { problemPatience, tellProblems } from "./problem-events.ts";
import { sameStatus, statusOf } from "./ingress-status.ts";

/** `spec.controller` of the IngressClasses that Fairlead serves. */
export const controllerName = "fairlead.dev/ingress";
/** The same for Ingresses that mean what they mean to ingress-nginx. */
export const nginxControllerName = "fairlead.dev/ingress-nginx";
const className = "fairlead";
const defaultAnnotation = "ingressclass.kubernetes.io/is-default-class";
const byService = "ingress/service";

export interface IngressOptions {
  readonly client: Client;
  readonly informers: Informers;
  readonly dataplane: DataPlane;
  /** Where clients reach the listeners: IP addresses or names, for the status of every served Ingress. */
  readonly addresses: () => readonly string[];
  readonly ports?: { readonly http: number; readonly https: number };
  /** Ports to open, where something before them leads there from `ports`. Default: `ports` themselves. */
  readonly bindPorts?: { readonly http: number; readonly https: number };
  /** Of several that serve the same Ingresses one writes statuses, events and the class. Default: this one. */
  readonly leading?: () => boolean;
  /** Classes whose Ingresses mean what they mean to ingress-nginx: their controllers' names, and its ConfigMap. */
  readonly nginx?: {
    readonly controllers: readonly string[];
    readonly options: () => NginxOptions;
    /** Its ConfigMaps of ports for TCP and UDP, as far as they exist. */
    readonly streams?: () => readonly StreamServices[];
    /** What `options` and header fields are read from: before it has them, nothing is served. Default: there are none. */
    readonly configMaps?: Informer<ConfigMap>;
  };
  /** Secret, as `namespace/name`, with the certificate for names that have none. Default: a self-signed one. */
  readonly defaultCertificate?: string;
  /** Called whenever `current` answers differently. */
  readonly onServed?: () => void;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
  readonly events: EventRecorder;
  /** Told of the queue. */
  readonly metrics?: Metrics;
}

/** The Ingress controller: `ready` settles when the Ingresses that existed at the start are served. */
export interface Ingress extends Component {
  listeners(): readonly BoundListener[];
  /** The last translation; endpoints may have changed since. `undefined` before `ready`. */
  current(): Translation | undefined;
  /** Why not every route that is known is served; `undefined` when each is. */
  unserved(): string | undefined;
  /** `addresses` or `leading` answers differently now: writes statuses anew. */
  refresh(): void;
  /** `nginx.options` answers differently now, or the data plane can do other things. */
  translateAgain(): void;
}

/** Keeps a data plane serving what the Ingresses of Fairlead's classes say, and writes back where they are reached. */
export function startIngress(options: IngressOptions): Ingress {
  const { client, informers, dataplane, signal, clock, log, events } = options;
  const ports = options.ports ?? { http: 80, https: 443 };
  const leading = options.leading ?? (() => true);
  const ingresses = informers.of(resources.Ingress);
  const meanings = keepMeanings(ingresses, meansTheSame);
  const classes = informers.of(resources.IngressClass);
  const services = informers.of(resources.Service);
  const secrets = informers.of(resources.Secret);
  const slices = informers.of(resources.EndpointSlice, { [byService]: serviceOf });
  const inspect = rememberingInspect(inspectKeyPair);
  const keyPair = createKeyPairs((name) => secrets.get(name));
  /** What was translated for this data plane's abilities; another one's are another beginning. */
  let memory = createTranslationMemory();
  const configMaps = options.nginx?.configMaps;
  const usersBySecret = {
    file: new WeakMap<Secret, ReadonlyMap<string, string>>(),
    map: new WeakMap<Secret, ReadonlyMap<string, string>>(),
  };

  let { capabilities } = dataplane;
  /** The last translation, and the last that is served. */
  let translated: Translation | undefined;
  let current: Translation | undefined;
  /** What has changed since the last translation, by `namespace/name`: Services with their EndpointSlices, and Secrets. */
  let changed = { services: new Set<string>(), secrets: new Set<string>() };
  /** Services whose pools are to be made anew. */
  const changedServices = new Set<string>();
  /** Keys of the Ingresses that are served, and of those whose status says so. */
  const served = createClaims<IngressObject>((ingress) => [keyOf(ingress)]);
  const written = new Set<string>();
  /** What the status of each says. */
  let where = "";
  const tell = tellProblems(events, objectOf);
  const pace = createPace(clock);
  /** Why the last change is not served. */
  const fault = createLastFault();
  let begun = false;
  let isReady = (): void => {};
  const ready = new Promise<void>((resolve, reject) => {
    isReady = resolve;
    signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
  });
  ready.catch(() => {});

  const controller = startController({
    name: "ingress",
    after: [ingresses, classes, services, secrets, slices, ...(configMaps ? [configMaps] : [])].map(
      (informer) => informer.synced,
    ),
    reconcile: (key) => fault.watch(key === "model" ? applyModel() : applyPools()),
    signal,
    clock,
    log,
    ...(options.metrics ? { metrics: options.metrics } : {}),
  });
  // What is written back has a queue of its own: thousands of statuses are in no route's way.
  const writing = startController({
    name: "ingress-status",
    after: [controller.ready],
    concurrency: 4,
    reconcile: async (key) => {
      // Whoever begins to lead comes here again.
      if (!leading()) return;
      if (key === "class") await ensureClass();
      else if (key === "problems") tell(current?.problems ?? []);
      else await writeStatus(key.slice("status ".length));
    },
    signal,
    clock,
    log,
    ...(options.metrics ? { metrics: options.metrics } : {}),
  });

  const translateSoon = (): void => {
    if (begun) controller.enqueueAfter("model", pace.wait());
  };
  ingresses.onChange(({ before, after }) => {
    if (before && after && meansTheSame(before, after)) writing.enqueue(`status ${keyOf(after)}`);
    else translateSoon();
  });
  classes.onChange(translateSoon);
  services.onChange(({ before, after }) => {
    const service = after ?? before;
    if (!service || !translated?.uses("Service", keyOf(service))) return;
    changed.services.add(keyOf(service));
    translateSoon();
  });
  secrets.onChange(({ before, after }) => {
    const secret = after ?? before;
    if (!secret || !translated?.uses("Secret", keyOf(secret))) return;
    changed.secrets.add(keyOf(secret));
    translateSoon();
  });
  configMaps?.onChange(({ before, after }) => {
    const configMap = after ?? before;
    if (configMap && translated?.uses("ConfigMap", keyOf(configMap))) translateSoon();
  });
  slices.onChange(({ before, after }) => {
    for (const key of [before, after].flatMap((slice) => (slice ? serviceOf(slice) : []))) {
      if (!translated?.uses("Service", key)) continue;
      changed.services.add(key);
      changedServices.add(key);
      controller.enqueue("pools");
    }
  });
  void controller.ready.then(
    () => {
      begun = true;
      writing.enqueue("class");
      controller.enqueue("model");
    },
    () => {},
  );

  function translate(): Translation {
    changedServices.clear();
    if (capabilities !== dataplane.capabilities) {
      capabilities = dataplane.capabilities;
      memory = createTranslationMemory();
    }
    const abilities = {
      certificates: capabilities.has("ClientCertificate"),
      passthrough: capabilities.has("TLSRouteModeMixed"),
    };
    const since = changed;
    changed = { services: new Set(), secrets: new Set() };
    const input: IngressInput = {
      ingresses: meanings.list(),
      classes: classes.list(),
      service: (key) => services.get(nameOf(key)),
      slices: (key) => slices.by(byService, key),
      secret: (key) => secrets.get(nameOf(key)),
      inspect,
      memory,
      changed: since,
      controllerName,
      ports,
      ...(options.nginx
        ? {
            nginx: {
              controllers: options.nginx.controllers,
              options: options.nginx.options(),
              abilities,
              streams: options.nginx.streams?.() ?? [],
              configMap: (key: string) => configMaps?.get(nameOf(key)),
            },
          }
        : {}),
      ...(options.defaultCertificate === undefined ? {} : { defaultCertificate: options.defaultCertificate }),
      ...(options.bindPorts ? { bindPorts: options.bindPorts } : {}),
    };
    try {
      return (translated = translateIngresses(input));
    } catch (error) {
      // Nobody knows how far it came.
      memory = createTranslationMemory();
      throw error;
    }
  }

  async function applyModel(): Promise<void> {
    const begin = clock.now();
    const next = translate();
    pace.spent(clock.now() - begin);
    const { refused } = await dataplane.apply({
      model: next.model,
      keyPair,
      users: (of) => {
        const { namespace = "", name } = of.secret;
        const found = secrets.get({ namespace, name });
        // Read anew only when the Secret changes: it stands in a request's way. One Secret may be read in both ways.
        const read = usersBySecret[of.layout];
        let known = found && read.get(found);
        if (found && !known) read.set(found, (known = usersOf(found.data ?? {}, of.layout)));
        return known;
      },
    });
    const refusals = refused.length === 0 ? [] : refusalProblems(next, refused);
    const more = [...refusals, ...portProblems(next, dataplane.listeners())];
    current = more.length === 0 ? next : { ...next, problems: [...next.problems, ...more] };
    isReady();
    const others = served.follow(next.served);
    options.onServed?.();
    const here = JSON.stringify([options.addresses(), dataplane.listeners()]);
    enqueueStatuses(here === where ? others : allKeys());
    where = here;
    writing.enqueueAfter("problems", problemPatience);
  }

  function wantedStatus(ingress: IngressObject): IngressLoadBalancerIngress[] {
    return served.has(keyOf(ingress)) ? statusOf(ingress, options.addresses(), dataplane.listeners()) : [];
  }

  const allKeys = (): Set<string> => new Set([...(current?.served ?? []).map(keyOf), ...written]);

  /** A status that was changed by others is seen when that happens. */
  function enqueueStatuses(keys: ReadonlySet<string>): void {
    for (const key of keys) {
      const ingress = ingresses.get(nameOf(key));
      if (!served.has(key) || !ingress) {
        if (written.has(key)) writing.enqueue(`status ${key}`);
      } else if (sameStatus(ingress.status?.loadBalancer?.ingress, wantedStatus(ingress))) written.add(key);
      else writing.enqueue(`status ${key}`);
    }
  }

  async function applyPools(): Promise<void> {
    if (!current) return;
    const keys = [...changedServices];
    changedServices.clear();
    await dataplane.updatePools(
      keys.flatMap((key) =>
        memory.pools
          .targetsOf(key)
          .map((target) => memory.pools.poolOf(target, services.get(nameOf(key)), slices.by(byService, key)).pool),
      ),
    );
  }

  function objectOf({ kind, namespace = "", name }: Problem["object"]): KubeObject | undefined {
    if (kind === "Ingress") return ingresses.get({ namespace, name });
    return options.nginx
      ?.streams?.()
      .map(({ configMap }) => configMap)
      .find(({ metadata }) => kind === "ConfigMap" && metadata.namespace === namespace && metadata.name === name);
  }

  async function writeStatus(key: string): Promise<void> {
    const ingress = ingresses.get(nameOf(key));
    // Of an Ingress that is not ours only that is taken back which was written here.
    if (!ingress) written.delete(key);
    if (!ingress || (!served.has(key) && !written.has(key))) return;
    const wanted = wantedStatus(ingress);
    if (!sameStatus(ingress.status?.loadBalancer?.ingress, wanted)) {
      const body = { status: { loadBalancer: { ingress: wanted } } };
      await client
        .patch(resources.Ingress, nameOf(key), { type: "merge", body }, { subresource: "status", signal })
        .catch((error: unknown) => {
          if (!isStatus(error, "NotFound")) throw error;
        });
    }
    if (served.has(key)) written.add(key);
    else written.delete(key);
  }

  async function ensureClass(): Promise<void> {
    const ours = [controllerName, ...(options.nginx?.controllers ?? [])];
    if (classes.list().some((each) => ours.includes(each.spec.controller ?? ""))) return;
    const isDefault = !classes.list().some((each) => each.metadata.annotations?.[defaultAnnotation] === "true");
    const annotations = isDefault ? { [defaultAnnotation]: "true" } : {};
    await client
      .create(resources.IngressClass, {
        metadata: { name: className, annotations },
        spec: { controller: controllerName },
      })
      .catch((error: unknown) => {
        if (!isStatus(error, "AlreadyExists")) throw error;
      });
  }

  return {
    name: "ingress",
    ready,
    stopped: Promise.all([controller.stopped, writing.stopped, dataplane.stopped]).then(() => {}),
    listeners: () => dataplane.listeners(),
    current: () => current,
    unserved: () => {
      if (!current) return "the cluster's routes are not served yet";
      return fault.text === undefined ? undefined : `the last change is not served: ${fault.text}`;
    },
    translateAgain: translateSoon,
    refresh() {
      if (!begun) return;
      writing.enqueue("class");
      writing.enqueue("problems");
      enqueueStatuses(allKeys());
    },
  };
}

/** What the data plane cannot do, said on the Ingresses that ask for it. */
function refusalProblems({ model }: Translation, refused: readonly Refusal[]): Problem[] {
  const features = new Map<string, Set<string>>();
  for (const { route, feature } of refused) features.set(route, (features.get(route) ?? new Set()).add(feature));
  const problems = new Map<string, Problem>();
  for (const listener of model.listeners)
    for (const { id, owner } of [...routesOf(listener), ...streamsOf(listener)]) {
      const missing = features.get(id);
      if (!missing) continue;
      problems.set(id, {
        object: owner.object,
        field: owner.field,
        reason: "UnsupportedFeature",
        message: `this data plane cannot do ${[...missing].sort().join(", ")}`,
        remedy: "use a data plane that can, such as embedded, or leave it out",
      });
    }
  return [...problems.values()];
}

/** Ports of TCP and UDP that are not open, said on what asks for them. */
function portProblems({ model }: Translation, bound: readonly BoundListener[]): Problem[] {
  return model.listeners.flatMap((listener): Problem[] => {
    const owner = listener.servers.get("")?.owner;
    const error = bound.find(({ name }) => name === listener.name)?.error;
    if (!owner || error === undefined || (listener.protocol !== "TCP" && listener.protocol !== "UDP")) return [];
    const remedy = "choose another port, or another data plane";
    return [{ ...owner, reason: "PortUnavailable", message: `port ${listener.port} is not open: ${error}`, remedy }];
  });
}

/** True when only what the API server and other controllers write differs, such as the status. */
function meansTheSame(a: IngressObject, b: IngressObject): boolean {
  const meaningOf = ({ metadata, spec }: IngressObject): string =>
    JSON.stringify([metadata.uid, metadata.annotations, spec]);
  return meaningOf(a) === meaningOf(b);
}

function nameOf(key: string): { namespace: string; name: string } {
  const [namespace = "", name = ""] = key.split("/");
  return { namespace, name };
}

function serviceOf(slice: EndpointSlice): string[] {
  const service = serviceOfSlice(slice);
  return service === undefined ? [] : [service];
}
