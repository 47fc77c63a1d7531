import { isDeepStrictEqual } from "node:util";
import type { ProviderStep } from "../provider/contract.ts";
import type { Http, Wanted } from "./desired.ts";
import type { Observed, ObservedPolicy } from "./model.ts";
import { uidTag } from "./ownership.ts";
import { listenerBody, listenerChanges, partName, poolBody, poolChanges, step } from "./parts.ts";

/** What brings Octavia from what is there to what an Ingress asks for, in order: what is used before what uses it, and away after it. Pure. */
export function httpChanges(observed: Observed, wanted: Wanted, http: Http): readonly ProviderStep[] {
  const { key, pools, listeners } = observed;
  const balancer = observed.balancer.id;
  const { listener: want } = http;
  const name = partName(want);
  const make: ProviderStep[] = [];
  const change: ProviderStep[] = [];
  const drop: ProviderStep[] = [];

  const isGood = (pool: Observed["pools"][number]) =>
    http.pools.get(pool.name)?.protocol === pool.protocol && pool.status !== "ERROR";
  const poolNamed = (of: string) => pools.find((pool) => pool.name === of && isGood(pool));
  for (const [of, pool] of http.pools) {
    const found = poolNamed(of);
    if (found) change.push(...poolChanges({ pool }, found, `pool ${of}`, balancer, key, wanted));
    else if (!pools.some((one) => one.name === of)) {
      const body = { ...poolBody(of, pool, key), loadbalancer_id: balancer };
      make.push(step(`create pool ${of}`, { do: "make", balancer, kind: "pools", body, find: { name: of } }));
    }
  }

  const listener = listeners.find((one) => partName(one) === name && one.status !== "ERROR");
  if (!listener && !listeners.some((one) => partName(one) === name)) {
    const body = { ...listenerBody(want, key), loadbalancer_id: balancer };
    const find = { protocol: want.protocol, protocol_port: String(want.port) };
    make.push(step(`create listener ${name}`, { do: "make", balancer, kind: "listeners", body, find }));
  }
  if (listener) {
    const rest = http.fallback === undefined ? undefined : poolNamed(http.fallback)?.id;
    const isSet = listener.pool === rest;
    const body = { ...listenerChanges(want, listener), ...(isSet ? {} : { default_pool_id: rest ?? null }) };
    if (Object.keys(body).length > 0)
      change.push(
        step(`change listener ${name}`, { do: "change", balancer, kind: "listeners", id: listener.id, body }),
      );
    change.push(...policySteps(observed, http, listener.id, (of) => poolNamed(of)?.id));
  }

  const isWanted = (policy: ObservedPolicy) => isRight(policy, http, listener?.id, (of) => poolNamed(of)?.id);
  for (const { id, name: of } of observed.policies.filter((one) => !isWanted(one)))
    drop.push(step(`delete policy ${of}`, { do: "drop", balancer, kind: "l7policies", id }));
  for (const one of listeners) {
    if (one.id !== listener?.id)
      drop.push(step(`delete listener ${partName(one)}`, { do: "drop", balancer, kind: "listeners", id: one.id }));
  }
  for (const pool of pools) {
    if (!isGood(pool))
      drop.push(step(`delete pool ${pool.name}`, { do: "drop", balancer, kind: "pools", id: pool.id }));
  }
  return [...make, ...change, ...drop];
}

/** Whether a policy is one that is wanted, or may become it by rules that are still missing. */
function isRight(
  policy: ObservedPolicy,
  { policies }: Http,
  listener: string | undefined,
  poolOf: (name: string) => string | undefined,
): boolean {
  const wanted = policies.find(({ name }) => name === policy.name);
  if (!wanted || policy.status === "ERROR" || policy.listener !== listener) return false;
  if (policy.pool !== poolOf(wanted.pool)) return false;
  const isKnown = policy.rules.every((rule) => wanted.rules.some((one) => isDeepStrictEqual(one, rule)));
  return isKnown && (policy.isOn ? policy.rules.length === wanted.rules.length : true);
}

/** A policy is made without rules and off, is given its rules, and then turned on: it never catches what is not its. */
function policySteps(
  { key, balancer: { id: balancer }, policies }: Observed,
  http: Http,
  listener: string,
  poolOf: (name: string) => string | undefined,
): readonly ProviderStep[] {
  const steps: ProviderStep[] = [];
  const there = policies.filter((one) => isRight(one, http, listener, poolOf));
  for (const [i, { name, pool, rules }] of http.policies.entries()) {
    const found = there.find((one) => one.name === name);
    const id = poolOf(pool);
    // Its pool is made in this round.
    if (id === undefined) continue;
    if (!found) {
      const body = {
        name,
        listener_id: listener,
        action: "REDIRECT_TO_POOL",
        redirect_pool_id: id,
        position: i + 1,
        admin_state_up: false,
        tags: [uidTag(key.uid)],
      };
      const find = { name, listener_id: listener };
      steps.push(step(`create policy ${name}`, { do: "make", balancer, kind: "l7policies", body, find }));
      continue;
    }
    const missing = rules.filter((rule) => !found.rules.some((one) => isDeepStrictEqual(one, rule)));
    for (const rule of missing)
      steps.push(step(`add a rule to policy ${name}`, { do: "rule", balancer, policy: found.id, rule }));
    if (!found.isOn)
      steps.push(
        step(`turn on policy ${name}`, {
          do: "change",
          balancer,
          kind: "l7policies",
          id: found.id,
          body: { admin_state_up: true },
        }),
      );
  }
  // Places are set when all are there: who moves one moves those behind it too.
  if (there.length < http.policies.length) return steps;
  const order = there.toSorted((a, b) => a.position - b.position).map(({ name }) => name);
  for (const [i, { name }] of http.policies.entries()) {
    if (order[i] === name) continue;
    order.splice(order.indexOf(name), 1);
    order.splice(i, 0, name);
    const id = there.find((one) => one.name === name)?.id ?? "";
    const body = { position: i + 1 };
    steps.push(step(`move policy ${name} to ${i + 1}`, { do: "change", balancer, kind: "l7policies", id, body }));
  }
  return steps;
}
