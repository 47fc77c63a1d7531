import { createHash } from "node:crypto";
import { createEventRecorder, startController, type Client, type Informers } from "../../../client/index.ts";
import type { Service } from "../../../kube/index.ts";
import type { DataPlane, KeyPair } from "../../../dataplane/index.ts";
import type { Certificate, Endpoint } from "../../../routing/index.ts";
import type { Clock, Component, Logger } from "../../../system/index.ts";
import { createServiceView } from "../service-view.ts";
import { translateServices, type ServiceRoutes, type TranslateInput } from "./translate.ts";

export interface ServiceLoadBalancerOptions extends Pick<
  TranslateInput,
  "tcpServices" | "targetService" | "namespace" | "forwardServices" | "balance" | "httpPort" | "httpsPort"
> {
  readonly client: Client;
  readonly informers: Informers;
  readonly dataplane: DataPlane;
  /** PEM that HTTPS is served with. */
  readonly keyPair?: KeyPair & { readonly names: readonly string[] };
  /** PEM of authorities whose certificates clients are asked for. */
  readonly authorities?: string;
  /** Where requests go that no Service takes. */
  readonly fallback?: Endpoint;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface ServiceLoadBalancer extends Component {
  /** What is served; undefined before the first. */
  current(): ServiceRoutes | undefined;
  /** Why not all of it is served; undefined: it is. */
  unserved(): string | undefined;
}

/** Milliseconds a problem must last before it is told: objects that are applied together arrive in any order. */
const patience = 1_000;

/** Serves all Services of a cluster as service-loadbalancer did: every change is served, the removal of the last one as well. */
export function startServiceLoadBalancer(options: ServiceLoadBalancerOptions): ServiceLoadBalancer {
  const { client, informers, dataplane, signal, clock } = options;
  const log = options.log.child({ component: "service-loadbalancer" });
  const view = createServiceView(informers);
  const events = createEventRecorder(client, { component: "service-loadbalancer", log, clock, signal });
  let current: ServiceRoutes | undefined;
  let told = new Set<string>();
  const tls = tlsOf(options);

  async function serve(): Promise<void> {
    const { tcpServices, targetService, namespace, forwardServices, balance, httpPort, httpsPort, fallback } = options;
    const next = translateServices({
      services: view.services.list(),
      slices: view.slicesOf,
      tcpServices,
      ...(targetService === undefined ? {} : { targetService }),
      ...(namespace === undefined ? {} : { namespace }),
      forwardServices,
      balance,
      httpPort,
      httpsPort,
      ...(tls ? { tls } : {}),
      ...(fallback ? { fallback } : {}),
    });
    const { refused } = await dataplane.apply({ model: next.model, keyPair: () => options.keyPair });
    const lost = refused.map(({ route, feature }) => `${route}: this data plane cannot do ${feature}`);
    if (lost.length > 0) log.warn({ lost: lost.slice(0, 10), count: lost.length }, "not everything can be served");
    current = next;
    controller.enqueueAfter("problems", patience);
  }

  function tell(): void {
    const now = new Set<string>();
    for (const { object, field, reason, message, remedy } of current?.problems ?? []) {
      const text = `${field}: ${message}. To mend it: ${remedy}`;
      const key = `${object.namespace ?? ""}/${object.name} ${text}`;
      now.add(key);
      const service: Service | undefined = view.service(`${object.namespace ?? ""}/${object.name}`);
      if (service && !told.has(key)) events.event(service, "Warning", reason, text);
    }
    told = now;
  }

  const controller = startController({
    name: "service-loadbalancer",
    reconcile: async (key) => {
      if (key === "problems") tell();
      else await serve();
    },
    after: [view.synced, dataplane.ready],
    signal,
    clock,
    log,
  });
  // Changes that come together are one.
  view.onChange(() => controller.enqueueAfter("serve", 20));
  controller.enqueue("serve");
  return {
    name: "service-loadbalancer",
    ready: controller.ready,
    stopped: Promise.all([controller.stopped, dataplane.stopped]).then(() => {}),
    current: () => current,
    unserved() {
      if (!current) return "the cluster's Services are not served yet";
      const closed = dataplane.listeners().find(({ port }) => port === undefined);
      return closed && `${closed.name}: ${closed.error ?? "its port is not open"}`;
    },
  };
}

/** One certificate for all names. */
function tlsOf({ keyPair, authorities }: ServiceLoadBalancerOptions): TranslateInput["tls"] {
  if (!keyPair) return undefined;
  const version = createHash("sha256").update(keyPair.certificate).update(keyPair.key).digest("hex").slice(0, 16);
  const secret = { kind: "File", name: "--ssl-cert" };
  const owner = { object: secret, field: "" };
  const certificates = [...new Set(["", ...keyPair.names])].map((hostname): Certificate => ({
    hostname,
    secret,
    version,
    owner,
  }));
  return { certificates, ...(authorities === undefined ? {} : { authorities }) };
}
