import { createTurns } from "../../system/index.ts";
import {
  failedStep,
  ProviderFailure,
  type ExposureKey,
  type LoadBalancerProvider,
  type StepResult,
} from "../provider/contract.ts";
import { readOpenStackConfig, type OpenStackConfig } from "./config.ts";
import { annotationPrefixes } from "./desired.ts";
import {
  isPending,
  readBalancer,
  readListener,
  readPolicy,
  readPool,
  type Balancer,
  type Observed,
  type ObservedPolicy,
} from "./model.ts";
import { createOctavia, OctaviaError, type Octavia } from "./octavia.ts";
import { clusterTagOf, groupTag, isMade, joined, left, ownersIn, uidTag } from "./ownership.ts";
import type { OctaviaStep } from "./parts.ts";
import { planOctavia, planOctaviaRemoval } from "./plan.ts";

/** Services with this class, and Ingresses of this controller, get a load balancer of OpenStack's Octavia. */
export const openstackClass = "fairlead.dev/openstack";

/** Load balancers by OpenStack's Octavia API v2 (2.5 or newer), with tokens of Keystone's v3. Throws ProviderConfigError. */
export function createProvider(config: unknown): LoadBalancerProvider<Observed> {
  return openstackProvider(readOpenStackConfig(config));
}

export function openstackProvider(
  config: OpenStackConfig,
  octavia: Octavia = createOctavia(config),
): LoadBalancerProvider<Observed> {
  /** Changes of tags read, then write: they are done one after the other. */
  const inTurn = createTurns();

  async function version(signal: AbortSignal) {
    const found = await octavia.version(signal);
    if (found[1] >= 5) return found;
    throw new ProviderFailure("Refused", `Octavia speaks API 2.${found[1]}; 2.5 or newer is needed, which has tags`);
  }

  async function balancersWith(tag: string, signal: AbortSignal): Promise<readonly Balancer[]> {
    const found = (await octavia.list("loadbalancers", { tags: tag }, signal)).map(readBalancer);
    // A server that does not know the filter answers with all.
    const ours = found.filter(({ tags, status }) => tags.includes(tag) && status !== "DELETED");
    return ours.sort((a, b) => (a.created + a.id < b.created + b.id ? -1 : 1));
  }

  async function observe(key: ExposureKey, signal: AbortSignal): Promise<Observed | undefined> {
    const speaks = await version(signal);
    const tag = uidTag(key.uid);
    const found = await balancersWith(tag, signal);
    const balancer = found.find(({ status }) => status !== "PENDING_DELETE") ?? found[0];
    if (!balancer) return undefined;
    const others = found.filter(
      ({ id, tags, status }) => id !== balancer.id && isMade(tags) && status !== "PENDING_DELETE",
    );
    const duplicates = others.filter(({ tags }) => ownersIn(tags, key.cluster).length < 2).map(({ id }) => id);
    const base = { key, version: speaks, balancer, duplicates };
    if (isPending(balancer.status)) {
      // Nothing may be changed meanwhile. Only what addresses are like is looked at.
      const pools = await octavia.list("pools", { tags: tag, loadbalancer_id: balancer.id }, signal);
      return { ...base, listeners: [], policies: [], pools: pools.map((pool) => readPool(pool, [], undefined)) };
    }
    const [listeners, pools, monitors] = await Promise.all([
      octavia.list("listeners", { tags: tag, load_balancer_id: balancer.id }, signal),
      octavia.list("pools", { tags: tag, loadbalancer_id: balancer.id }, signal),
      octavia.list("healthmonitors", { tags: tag }, signal),
    ]);
    const members = await Promise.all(pools.map((pool) => octavia.members(pool.at("id").text(), signal)));
    const monitorOf = (pool: string) =>
      monitors.find((one) =>
        one
          .at("pools")
          .list()
          .some((of) => of.at("id").text() === pool),
      );
    const read = pools.map((pool, i) => readPool(pool, members[i] ?? [], monitorOf(pool.at("id").text())));
    return {
      ...base,
      listeners: listeners.map(readListener).sort((a, b) => a.port - b.port || (a.protocol < b.protocol ? -1 : 1)),
      pools: read.sort((a, b) => (a.id < b.id ? -1 : 1)),
      policies: listeners.some((one) => one.at("protocol").text() === "HTTP") ? await policiesWith(tag, signal) : [],
    };
  }

  async function policiesWith(tag: string, signal: AbortSignal): Promise<readonly ObservedPolicy[]> {
    const found = await octavia.list("l7policies", { tags: tag }, signal);
    const rules = await Promise.all(found.map((one) => octavia.rules(one.at("id").text(), signal)));
    return found.map((one, i) => readPolicy(one, rules[i] ?? [])).sort((a, b) => a.position - b.position);
  }

  const pending = (message: string): StepResult => ({ state: "pending", message, again: config.poll });

  /** How a load balancer is now; undefined: it is gone. */
  async function balancerNow(id: string, signal: AbortSignal): Promise<Balancer | undefined> {
    try {
      const found = readBalancer(await octavia.get("loadbalancers", id, signal));
      return found.status === "DELETED" ? undefined : found;
    } catch (error) {
      if (error instanceof OctaviaError && error.status === 404) return undefined;
      throw error;
    }
  }

  async function create(input: OctaviaStep & { do: "create" }, signal: AbortSignal): Promise<StepResult> {
    const { key, body, bare, group } = input;
    if ((await balancersWith(uidTag(key.uid), signal)).length > 0) return { state: "done" };
    if (group !== undefined) {
      const [shared] = await balancersWith(groupTag(key.cluster, group), signal);
      if (shared) return join(key, shared.id, signal);
    }
    try {
      await octavia.create("loadbalancers", body, signal);
    } catch (error) {
      // Octavia's provider cannot make all at once.
      if (!(error instanceof OctaviaError) || error.status !== 501 || body === bare) throw error;
      await octavia.create("loadbalancers", bare, signal);
    }
    return { state: "done" };
  }

  async function join(key: ExposureKey, id: string, signal: AbortSignal): Promise<StepResult> {
    const found = await balancerNow(id, signal);
    if (!found) return { state: "failed", reason: "Refused", message: `there is no load balancer ${id}` };
    const tags = joined(found.tags, key);
    if (tags.length === found.tags.length) return { state: "done" };
    await octavia.update("loadbalancers", id, { tags }, signal);
    return { state: "done" };
  }

  async function leave(key: ExposureKey, id: string, signal: AbortSignal): Promise<StepResult> {
    const found = await balancerNow(id, signal);
    if (!found) return { state: "done" };
    const tags = left(found.tags, key);
    if (tags.length !== found.tags.length) await octavia.update("loadbalancers", id, { tags }, signal);
    return { state: "done" };
  }

  async function run(input: OctaviaStep, signal: AbortSignal): Promise<StepResult> {
    switch (input.do) {
      case "create":
        // Services of one group come one after the other, so that the second finds what the first has made.
        return inTurn(() => create(input, signal));
      case "join":
        return inTurn(() => join(input.key, input.balancer, signal));
      case "leave":
        return inTurn(() => leave(input.key, input.balancer, signal));
      case "wait": {
        const found = await balancerNow(input.balancer, signal);
        return found && isPending(found.status) ? pending(`it is ${found.status}`) : { state: "done" };
      }
      case "destroy": {
        const found = await balancerNow(input.balancer, signal);
        if (!found || found.status === "PENDING_DELETE") return { state: "done" };
        await octavia.remove("loadbalancers", input.balancer, signal, true);
        return { state: "done" };
      }
      case "failover": {
        const found = await balancerNow(input.balancer, signal);
        if (found?.status !== "ERROR") return { state: "done" };
        await octavia.failOver(input.balancer, signal);
        // A failure, so that one that ends in ERROR again and again is tried less and less often.
        return {
          state: "failed",
          reason: "Broken",
          message: "it was in ERROR and is being failed over",
          again: config.poll,
        };
      }
      case "make": {
        const { kind, find, body, balancer } = input;
        const there = await octavia.list(kind, find, signal);
        const tags = (body as { tags?: readonly string[] }).tags ?? [];
        const isIt = there.some(
          (one) =>
            (["healthmonitors", "l7policies"].includes(kind) ||
              one
                .at("loadbalancers")
                .list()
                .some((of) => of.at("id").text() === balancer)) &&
            one
              .at("tags")
              .list()
              .some((tag) => tags.includes(tag.text())),
        );
        if (!isIt) await octavia.create(kind, body, signal);
        return { state: "done" };
      }
      case "change":
        await octavia.update(input.kind, input.id, input.body, signal);
        return { state: "done" };
      case "rule": {
        const { type, compare: compare_type, value } = input.rule;
        const there = await octavia.rules(input.policy, signal);
        const isIt = there.some((one) => one.at("type").text() === type && one.at("value").text() === value);
        if (!isIt) await octavia.addRule(input.policy, { type, compare_type, value }, signal);
        return { state: "done" };
      }
      case "drop":
        await octavia.remove(input.kind, input.id, signal);
        return { state: "done" };
      default:
        // All members of a pool at once.
        await octavia.setMembers(input.pool, input.members, signal);
        return { state: "done" };
    }
  }

  /** What a call that was refused means for the step. */
  async function meaning(input: OctaviaStep, error: OctaviaError, signal: AbortSignal): Promise<StepResult> {
    const { status, reason, message, again } = error;
    if (status === 404 && input.do === "drop") return { state: "done" };
    if (status === 409 && "balancer" in input) {
      // 409 says that it is being changed, and also that something is in the way for good: its state tells which.
      const found = await balancerNow(input.balancer, signal);
      if (found && isPending(found.status)) return pending(`the load balancer is ${found.status}`);
    }
    if (status === 403 && input.do === "failover") {
      const remedy = "this user may not fail it over; let someone do so who may, or delete the Service";
      return { state: "failed", reason, message: `${message}; ${remedy}` };
    }
    // What a step was planned for is gone or in the way: the next look sees it.
    const why = status === 404 ? "Conflict" : reason;
    return { state: "failed", reason: why, message, ...(again === undefined ? {} : { again }) };
  }

  return {
    name: "openstack",
    loadBalancerClass: openstackClass,
    ingressController: openstackClass,
    capabilities: {
      families: [config.family],
      protocols: ["TCP", "UDP", "SCTP"],
      mixedProtocols: true,
      sourceRanges: true,
      sessionAffinity: true,
      requestedAddress: true,
      localPolicy: true,
      withoutNodePorts: false,
      mostPorts: 100,
      annotations: annotationPrefixes,
      // Certificates would have to be in Barbican.
      http: { tls: false, exactPaths: true, endpoints: false },
    },
    async list(cluster, signal) {
      await version(signal);
      const found = await balancersWith(clusterTagOf(cluster), signal);
      const owners = new Map(found.flatMap(({ tags }) => ownersIn(tags, cluster)).map((key) => [key.uid, key]));
      return [...owners.values()];
    },
    observe,
    plan: (desired, observed) => planOctavia(desired, observed, config),
    planRemoval: planOctaviaRemoval,
    async apply({ input }, signal) {
      try {
        return await run(input as OctaviaStep, signal);
      } catch (error) {
        if (error instanceof OctaviaError) return meaning(input as OctaviaStep, error, signal);
        return failedStep(error);
      }
    },
    addresses({ balancer: { status, address }, pools }) {
      if (status === "PENDING_CREATE" || status === "PENDING_DELETE" || !address) return [];
      // With the PROXY protocol a packet from inside may not go around the load balancer (KEP-1860).
      const isProxy = pools.some(({ protocol }) => protocol.startsWith("PROXY"));
      return [{ ip: address, ipMode: isProxy ? "Proxy" : "VIP" }];
    },
  };
}
