import { createEventRecorder, messageOf, startController, type Client, type Informers } from "../../client/index.ts";
import {
  findCondition,
  formatTime,
  isStatus,
  nameOfKey,
  semanticEqual,
  setCondition,
  type Condition,
  type Ingress,
} from "../../kube/index.ts";
import type { Clock, Component, Logger, Metrics } from "../../system/index.ts";
import { ServiceProblem } from "../provider.ts";
import { ProviderFailure, refusal, type LoadBalancerProvider, type ProvidedAddress } from "./contract.ts";
import { converge, remove, type Convergence } from "./converge.ts";
import { ownerKey } from "./exposure.ts";
import { withFigures } from "./figures.ts";
import { conditionsOf, ingressOwners, isWanted, kindOf, serviceOwners, type Owner, type Owners } from "./owners.ts";

export interface ProviderControllerOptions {
  readonly client: Client;
  readonly informers: Informers;
  readonly provider: LoadBalancerProvider;
  /** Name of this cluster, as the provider's objects are marked with it. */
  readonly cluster: string;
  /** Which Ingresses it serves. Default: those of the IngressClasses of the provider's `ingressController`. */
  readonly ownsIngress?: (ingress: Ingress) => boolean;
  /** Milliseconds between two looks at whether someone has changed what was made. Default: the provider's, or 5 minutes. */
  readonly lookAgain?: number;
  readonly metrics?: Metrics;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Condition of a Service whose load balancer is made by a provider. Ingresses have no conditions: events say the same. */
export const providerCondition = "fairlead.dev/LoadBalancerReady";

const defaultLookAgain = 300_000;
/** Milliseconds before a failure is tried again: doubled from the first to the most. */
const backOff = { first: 1_000, most: 300_000 };
/** The same for the connection that pushes changes. */
const watchBackOff = { first: 500, most: 30_000 };

/** A finalizer of its own for each provider: two of them may serve one cluster. */
const finalizerOf = ({ name }: LoadBalancerProvider) => `fairlead.dev/${name}-load-balancer`;

/**
 * Keeps a provider's load balancers as the Services of its class, and the Ingresses of its classes, are. The order is what makes it safe: the
 * finalizer before the first call, and it goes only when the provider sees nothing left. Whatever dies when, the next start looks and goes on.
 */
export function startProviderController(options: ProviderControllerOptions): Component {
  const { client, informers, cluster, signal, clock, metrics } = options;
  const provider = metrics ? withFigures(options.provider, metrics, clock) : options.provider;
  const log = options.log.child({ provider: provider.name });
  const lookAgain = options.lookAgain ?? provider.lookAgain ?? defaultLookAgain;
  const events = createEventRecorder(client, { component: `fairlead-${provider.name}`, log, clock, signal });
  const finalizer = finalizerOf(provider);
  const isMarked = ({ metadata }: Owner) => metadata.finalizers?.includes(finalizer) ?? false;
  const of = { informers, provider, cluster, isMarked };
  const owners = [
    serviceOwners(of),
    ...(provider.ingressController === undefined
      ? []
      : [ingressOwners(of, provider.ingressController, options.ownsIngress)]),
  ];
  /** How often in a row it failed, by key. */
  const failures = new Map<string, number>();
  /** Before when the other side wants to hear nothing, by key. */
  const notBefore = new Map<string, number>();
  /** What was said last about those that have no conditions, by key. */
  const said = new Map<string, string>();
  let swept = false;
  const syncs = metrics?.counter("fairlead_provider_syncs_total", "Times a load balancer was brought up to date.", [
    "provider",
    "outcome",
  ]);

  /** Keys are `Kind namespace/name`. */
  async function reconcile(key: string): Promise<void | { again: number }> {
    const [kind, name = ""] = key.split(" ");
    let unswept: Extract<Convergence, { state: "failed" }> | undefined;
    if (!swept) {
      try {
        await sweep();
      } catch (error) {
        // The other side cannot be asked: whoever waits for it is told so, not only the log.
        if (key === "" || !(error instanceof ProviderFailure)) throw error;
        const { reason, message, again } = error;
        unswept = { state: "failed", reason, message, ...(again === undefined ? {} : { again }) };
      }
    }
    const kindOwners = owners.find((one) => kindOf(one) === kind);
    const owner = kindOwners?.get(nameOfKey(name));
    if (!kindOwners || !owner) {
      for (const map of [failures, notBefore, said]) map.delete(key);
      return;
    }
    const wait = (notBefore.get(key) ?? 0) - clock.now();
    if (wait > 0) return { again: wait };
    if (unswept && (kindOwners.isOurs(owner) || isMarked(owner))) return tell(key, kindOwners, owner, unswept);
    if (kindOwners.isOurs(owner) && !owner.metadata.deletionTimestamp) return make(key, kindOwners, owner);
    if (isMarked(owner)) return unmake(key, kindOwners, owner);
  }

  /** What exists for objects that are gone without our having seen it. */
  async function sweep(): Promise<void> {
    for (const key of await provider.list(cluster, signal)) {
      if (isWanted(owners, key, isMarked)) continue;
      const { state, ...rest } = await remove(provider, key, signal);
      const name = `${key.namespace}/${key.name}`;
      log.info({ service: name, state, ...rest }, "what a Service or an Ingress left is removed");
      if (state !== "done") throw new Error(`what ${name} left is not removed yet`);
    }
    swept = true;
  }

  async function make(key: string, kind: Owners, found: Owner): Promise<{ again: number }> {
    let owner = found;
    let read;
    try {
      read = kind.desired(owner);
    } catch (error) {
      if (!(error instanceof ServiceProblem)) throw error;
      return tell(key, kind, owner, { state: "failed", reason: "Refused", message: error.message, addresses: [] });
    }
    const { exposure, problems } = read;
    const why = refusal(exposure, provider.capabilities);
    // What it had before it asked for the impossible stays as it is.
    if (why !== undefined) return tell(key, kind, owner, { state: "failed", reason: "Refused", message: why });
    if (!isMarked(owner)) {
      const finalizers = [...(owner.metadata.finalizers ?? []), finalizer];
      const metadata = { ...owner.metadata, finalizers };
      owner = await client.update(kind.resource, { ...owner, metadata }, { signal });
    }
    return tell(key, kind, owner, await converge(provider, exposure, signal), problems);
  }

  async function unmake(key: string, kind: Owners, owner: Owner): Promise<void | { again: number }> {
    const result = await remove(provider, ownerKey(cluster, owner), signal);
    if (result.state !== "done") return tell(key, kind, owner, result);
    for (const map of [failures, said]) map.delete(key);
    const conditions = conditionsOf(owner).filter(({ type }) => type !== providerCondition);
    try {
      let current = owner;
      if (!owner.metadata.deletionTimestamp) {
        const status = kind.status(owner, [], conditions);
        current = await client.updateStatus(kind.resource, { ...owner, status }, { signal });
      }
      const finalizers = (current.metadata.finalizers ?? []).filter((name) => name !== finalizer);
      const metadata = { ...current.metadata, finalizers };
      await client.update(kind.resource, { ...current, metadata }, { signal });
    } catch (error) {
      if (!isStatus(error, "NotFound")) throw error;
    }
  }

  /** Writes how far it is, and says when to look again. */
  async function tell(
    key: string,
    kind: Owners,
    owner: Owner,
    result: Convergence,
    problems: readonly string[] = [],
  ): Promise<{ again: number }> {
    const [status, reason, message] =
      result.state === "pending"
        ? (["False", "Pending", result.message] as const)
        : result.state === "failed"
          ? (["False", result.reason, result.message] as const)
          : problems.length > 0
            ? (["True", "Incomplete", problems.join("; ")] as const)
            : (["True", "Ready", "the load balancer is as it is asked for"] as const);
    syncs?.(provider.name, result.state).inc();
    const old = findCondition([...conditionsOf(owner)], providerCondition);
    const conditions = setCondition<Condition>(
      [...conditionsOf(owner)],
      { type: providerCondition, status, reason, message: message.slice(0, 1024) },
      formatTime(clock.now()),
    );
    const had = (owner.status?.loadBalancer?.ingress ?? []) as readonly ProvidedAddress[];
    const next = kind.status(
      owner,
      (result.addresses ?? had).map((one) => ({ ...one })),
      conditions,
    );
    if (!semanticEqual(next, owner.status ?? {})) {
      await client.updateStatus(kind.resource, { ...owner, status: next }, { signal });
    }
    const words = `${status} ${reason}`;
    if ((old ? `${old.status} ${old.reason}` : said.get(key)) !== words) {
      const isWarning = result.state === "failed" || reason === "Incomplete";
      events.event(owner, isWarning ? "Warning" : "Normal", `LoadBalancer${reason}`, message.slice(0, 1024));
    }
    said.set(key, words);
    if (result.state === "done") {
      failures.delete(key);
      return { again: lookAgain };
    }
    if (result.state === "pending") return { again: result.again };
    const count = (failures.get(key) ?? 0) + 1;
    failures.set(key, count);
    if (result.again !== undefined) notBefore.set(key, clock.now() + result.again);
    const own = Math.min(backOff.first * 2 ** (count - 1), backOff.most);
    return { again: Math.max(result.again ?? 0, own) };
  }

  const controller = startController({
    name: `provider-${provider.name}`,
    reconcile,
    concurrency: 4,
    after: owners.flatMap(({ synced }) => synced),
    signal,
    clock,
    log,
    ...(metrics ? { metrics } : {}),
  });
  // What an earlier start has left is looked at also where nobody asks for anything.
  controller.enqueue("");
  for (const one of owners) one.onChange((key) => controller.enqueue(`${kindOf(one)} ${key}`));

  /** Hears of changes from the other side, where it tells of them. A connection that ends is made anew; until then `lookAgain` finds them. */
  async function listen(): Promise<void> {
    let tries = 0;
    while (!signal.aborted) {
      try {
        await provider.watch?.(
          cluster,
          (key) => {
            tries = 0;
            for (const one of owners) {
              if (key) controller.enqueue(`${kindOf(one)} ${key.namespace}/${key.name}`);
              else for (const name of one.keys()) controller.enqueue(`${kindOf(one)} ${name}`);
            }
          },
          signal,
        );
      } catch (error) {
        if (signal.aborted) return;
        log.debug({ error: messageOf(error) }, "the other side tells of no changes");
      }
      const pause = Math.min(watchBackOff.first * 2 ** tries++, watchBackOff.most);
      await clock.sleep(pause, signal).catch(() => {});
    }
  }
  if (provider.watch) controller.ready.then(listen).catch(() => {});
  controller.ready.catch((error: unknown) => log.error({ error: messageOf(error) }, "the provider does not start"));
  return controller;
}
