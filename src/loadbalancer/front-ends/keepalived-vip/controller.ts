import { createEventRecorder, startController, type Client, type Informers } from "../../../client/index.ts";
import { isStatus, resources, semanticEqual, type ConfigMap } from "../../../kube/index.ts";
import type { Clock, Component, Logger, Metrics } from "../../../system/index.ts";
import { addressClaims, addressPools, ensureDefinitions, type AnnounceSpec } from "../../definitions.ts";
import { startAddressController } from "../../load-balancer.ts";
import { createPoolProvider } from "../../pool-provider.ts";
import { noProbe, type AddressProbe } from "../../probe.ts";
import { changedKey, createServiceView } from "../service-view.ts";
import { frontEndLabel } from "../twin.ts";
import { createTwinKeeper } from "../twin-keeper.ts";
import { readVips, type VipFault } from "./config-map.ts";
import { createHeldAddresses, probeAgain } from "./held-addresses.ts";
import { frontEnd, planVips, sharingKey, statesOf, vipClass, type PlanInput, type VipState } from "./plan.ts";

/** Annotation of the ConfigMap: what became of each of its keys, as JSON. */
export const statusAnnotation = "fairlead.dev/vip-status";

export interface KeepalivedVipOptions {
  readonly client: Client;
  readonly informers: Informers;
  readonly configMap: { readonly namespace: string; readonly name: string };
  readonly proxyMode: boolean;
  readonly withdraw?: boolean;
  /** The only namespace whose Services are looked at. */
  readonly namespace?: string;
  /** How the addresses are announced. */
  readonly announce: AnnounceSpec;
  /** The VRRP router id that is given first (`--vrid`). */
  readonly firstGroup: number;
  readonly probe?: AddressProbe;
  readonly metrics?: Metrics;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The AddressPool that the addresses of a ConfigMap are of. */
export const poolOfConfigMap = ({ namespace, name }: KeepalivedVipOptions["configMap"]): string =>
  `${frontEnd}-${namespace}-${name}`.slice(0, 253);

/**
 * Makes of a ConfigMap of keepalived-vip what the cluster understands: an AddressPool, a twin for each Service, and claims of the addresses.
 * One of several does it. What became of each key is written back to the ConfigMap.
 */
export function startKeepalivedVip(options: KeepalivedVipOptions): Component {
  const { client, informers, configMap, signal, clock, firstGroup } = options;
  const log = options.log.child({ component: frontEnd });
  const source = `${configMap.namespace}/${configMap.name}`;
  const pool = poolOfConfigMap(configMap);
  const configMaps = informers.of(resources.ConfigMap);
  const view = createServiceView(informers);
  const probe = options.probe ?? noProbe;
  const keeper = createTwinKeeper({ client, frontEnd, scope: `${frontEnd} ${source} `, view });
  const held = createHeldAddresses(client, () => informers.of(addressClaims), firstGroup, probe);
  const events = createEventRecorder(client, { component: frontEnd, log, clock, signal });
  let told = new Set<string>();
  let targets = new Set<string>();
  let loaded = false;

  async function reconcile(): Promise<void | { again: number }> {
    if (!loaded) {
      await held.load();
      loaded = true;
    }
    const found = configMaps.get(configMap);
    const { vips, faults } = readVips(found?.data ?? {});
    const input: PlanInput = {
      source,
      vips,
      pool,
      proxyMode: options.proxyMode,
      ...(options.withdraw ? { withdraw: true } : {}),
      ...(options.namespace === undefined ? {} : { namespace: options.namespace }),
      service: view.service,
      slices: view.slicesOf,
    };
    const plan = planVips(input);
    targets = new Set(vips.flatMap((vip) => vip.targets.map(({ namespace, name }) => `${namespace}/${name}`)));
    if (vips.length > 0) await keepPool(vips.map(({ address }) => address));
    const owner = {
      kind: "ConfigMap",
      ...configMap,
      uid: found?.metadata.uid ?? "",
      sharing: `${sharingKey(source)} Cluster`,
    };
    const unheld = await held.hold(owner, pool, plan.held, clock.now());
    const refused = await keeper.keep(plan.twins.filter(({ vip }) => !unheld.has(vip.address)));
    if (!found) return undefined;
    const claims = informers.of(addressClaims);
    const states = statesOf({
      vips,
      plan,
      faults,
      refused,
      unheld,
      twin: view.service,
      holder: (address) => claims.list().find(({ spec }) => spec.address === address)?.status?.holder,
    });
    tell(found, states, faults);
    await writeStates(found, states);
    return unheld.size > 0 ? { again: probeAgain } : undefined;
  }

  async function keepPool(addresses: readonly string[]): Promise<void> {
    const spec = {
      addresses,
      autoAssign: false,
      reservation: "None" as const,
      announce: { ...options.announce, ...(options.withdraw ? { withoutEndpoints: "Withdraw" as const } : {}) },
    };
    const found = informers.of(addressPools).get({ name: pool });
    if (found && semanticEqual(found.spec, spec)) return;
    await client.apply(addressPools, { metadata: { name: pool, labels: { [frontEndLabel]: frontEnd } }, spec });
  }

  function tell(about: ConfigMap, states: Readonly<Record<string, VipState>>, faults: readonly VipFault[]): void {
    const now = new Set<string>();
    for (const [key, { reason = "", message = "" }] of Object.entries(states)) {
      if (message === "") continue;
      const text = `data[${key}]: ${message}`;
      now.add(text);
      if (!told.has(text)) events.event(about, "Warning", reason, text);
    }
    if (faults.length > 0 && now.size > told.size) log.warn({ keys: faults.map(({ key }) => key) }, "keys are wrong");
    told = now;
  }

  async function writeStates(found: ConfigMap, states: Readonly<Record<string, VipState>>): Promise<void> {
    const text = JSON.stringify(states);
    if (found.metadata.annotations?.[statusAnnotation] === text) return;
    const body = { metadata: { annotations: { [statusAnnotation]: text } } };
    await client.patch(resources.ConfigMap, configMap, { type: "merge", body }, { signal }).catch((error: unknown) => {
      if (!isStatus(error, "NotFound")) throw error;
    });
  }

  const ready = ensureDefinitions(client, { clock, signal, retry: true });
  const begin = async (): Promise<void> => {
    await ready;
    const addresses = startAddressController({
      ...options,
      log,
      provider: createPoolProvider({
        ...options,
        log,
        flags: [],
        // What is held for the ConfigMap answers as soon as a node has it: that is nobody else.
        probe: { inUse: async (address) => (held.isClaimed(address) ? undefined : probe.inUse(address)) },
        loadBalancerClass: vipClass,
        firstGroup,
      }),
    });
    const claims = informers.of(addressClaims);
    const pools = informers.of(addressPools);
    const running = startController({
      name: frontEnd,
      reconcile,
      after: [configMaps, view, claims, pools].map(({ synced }) => synced),
      signal,
      clock,
      log,
    });
    const soon = (): void => running.enqueue("sync");
    configMaps.onChange((change) => {
      if (changedKey(change) === source) soon();
    });
    view.onChange((key, { before, after }) => {
      const isTwin = (after ?? before)?.metadata.labels?.[frontEndLabel] === frontEnd;
      if (isTwin || targets.has(key)) soon();
    });
    claims.onChange(soon);
    soon();
    await Promise.all([running.stopped, addresses.stopped]);
  };
  const stopped = begin().catch((error: unknown) => {
    if (!signal.aborted) log.error({ error: String(error) }, "keepalived-vip ended");
  });
  return { name: frontEnd, ready, stopped };
}
