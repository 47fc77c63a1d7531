import { createEventRecorder, startController, type Client, type Informers } from "../../../client/index.ts";
import { isStatus, keyOf, nameOfKey, resources, semanticEqual, type ConfigMap } from "../../../kube/index.ts";
import type { Clock, Component, Logger, Metrics } from "../../../system/index.ts";
import { addressPools, ensureDefinitions, type AnnounceSpec } from "../../definitions.ts";
import { startAddressController } from "../../load-balancer.ts";
import { createPoolProvider } from "../../pool-provider.ts";
import type { AddressProbe } from "../../probe.ts";
import { startProviderController, type LoadBalancerProvider } from "../../provider/index.ts";
import { createServiceView } from "../service-view.ts";
import { frontEndLabel } from "../twin.ts";
import { createTwinKeeper } from "../twin-keeper.ts";
import { beingMade, classOf, errorPrefix, frontEnd, outcomeOf, planHp, type HpBackend } from "./plan.ts";

export interface HpLoadBalancerOptions {
  readonly client: Client;
  readonly informers: Informers;
  readonly backend: HpBackend;
  /** FIRST-LAST; of the backend `loadbalancer-daemon`. */
  readonly addresses?: string;
  readonly announce?: AnnounceSpec;
  /** The VRRP router id that is given first. */
  readonly firstGroup?: number;
  /** Makes the load balancers of the other backends. */
  readonly provider?: LoadBalancerProvider;
  /** Name of this cluster, for the provider. */
  readonly cluster: string;
  /** The only namespace whose ConfigMaps count. */
  readonly namespace?: string;
  readonly probe?: AddressProbe;
  readonly metrics?: Metrics;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
}

const label = { name: "app", value: "loadbalancer" };

/** What has to be looked at of all ConfigMaps: those with the label, of one namespace or of all. */
export const configMapsOfHp = (namespace?: string): { labelSelector: string; namespace?: string } => ({
  labelSelector: `${label.name}=${label.value}`,
  ...(namespace === undefined ? {} : { namespace }),
});

/** Follows ConfigMaps with the label `app: loadbalancer`: each gets a load balancer for the Service it names, and is told its address. */
export function startHpLoadBalancer(options: HpLoadBalancerOptions): Component {
  const { client, informers, backend, signal, clock } = options;
  const log = options.log.child({ component: frontEnd });
  const configMaps = informers.of(resources.ConfigMap);
  const view = createServiceView(informers);
  const scope = options.namespace === undefined ? `${frontEnd} ` : `${frontEnd} ${options.namespace}/`;
  const keeper = createTwinKeeper({ client, frontEnd, scope, view });
  const pool = backend === "loadbalancer-daemon" ? frontEnd : undefined;
  const events = createEventRecorder(client, { component: frontEnd, log, clock, signal });
  let targets: ReadonlySet<string> = new Set();

  const isOurs = ({ metadata }: ConfigMap) =>
    metadata.labels?.[label.name] === label.value &&
    !metadata.deletionTimestamp &&
    (options.namespace === undefined || metadata.namespace === options.namespace);

  async function reconcile(): Promise<void> {
    const ours = configMaps.list().filter(isOurs);
    const plan = planHp({
      configMaps: ours,
      backend,
      ...(pool === undefined ? {} : { pool }),
      service: view.service,
      slices: view.slicesOf,
    });
    targets = plan.targets;
    const refused = await keeper.keep([...plan.twins.values()]);
    for (const configMap of ours) {
      const key = keyOf(configMap);
      const twin = plan.twins.get(key)?.twin;
      const fault = plan.faults.get(key) ?? (twin && refused.get(keyOf(twin)));
      await tell(configMap, { ...outcomeOf(fault, twin && view.service(keyOf(twin))) });
    }
  }

  async function tell(configMap: ConfigMap, outcome: Readonly<Record<string, string>>): Promise<void> {
    const isSame = Object.entries(outcome).every(([name, value]) => configMap.data?.[name] === value);
    if (isSame) return;
    const { status = "" } = outcome;
    if (status.startsWith(errorPrefix) && status !== beingMade && configMap.data?.["status"] !== status)
      events.event(configMap, "Warning", "NotExposed", status.slice(errorPrefix.length));
    const where = nameOfKey(keyOf(configMap));
    await client
      .patch(resources.ConfigMap, where, { type: "merge", body: { data: outcome } }, { signal })
      .catch((error: unknown) => {
        if (!isStatus(error, "NotFound")) throw error;
      });
  }

  async function keepPool(): Promise<void> {
    if (pool === undefined) return;
    const announce = { protocol: "VRRP" as const, ...options.announce };
    const spec = { addresses: [options.addresses ?? ""], autoAssign: false, announce };
    const found = await client.get(addressPools, { name: pool }).catch((error: unknown) => {
      if (!isStatus(error, "NotFound")) throw error;
      return undefined;
    });
    if (found && semanticEqual(found.spec, spec)) return;
    await client.apply(addressPools, { metadata: { name: pool, labels: { [frontEndLabel]: frontEnd } }, spec });
  }

  const ready = ensureDefinitions(client, { clock, signal, retry: true }).then(keepPool);
  const begin = async (): Promise<void> => {
    await ready;
    const { provider, firstGroup, cluster } = options;
    const made = provider
      ? startProviderController({ ...options, log, provider, cluster })
      : startAddressController({
          ...options,
          log,
          provider: createPoolProvider({
            ...options,
            log,
            flags: [],
            loadBalancerClass: classOf[backend],
            ...(firstGroup === undefined ? {} : { firstGroup }),
          }),
        });
    const running = startController({
      name: frontEnd,
      reconcile,
      after: [configMaps.synced, view.synced],
      signal,
      clock,
      log,
    });
    const soon = (): void => running.enqueue("sync");
    configMaps.onChange(({ before, after }) => {
      if ((before && isOurs(before)) || (after && isOurs(after))) soon();
    });
    view.onChange((key, { before, after }) => {
      const isTwin = (after ?? before)?.metadata.labels?.[frontEndLabel] === frontEnd;
      if (isTwin || targets.has(key)) soon();
    });
    soon();
    await Promise.all([running.stopped, made.stopped]);
  };
  const stopped = begin().catch((error: unknown) => {
    if (!signal.aborted) log.error({ error: String(error) }, "hp-loadbalancer ended");
  });
  return { name: frontEnd, ready, stopped };
}
