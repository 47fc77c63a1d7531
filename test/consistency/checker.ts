import type { Change, History, Listed, Operation, Seen, Watched } from "./history.ts";

/**
 * Says where a history cannot be that of one store that does one thing after the other. Empty: it can be.
 *
 * Three looks, each of which finds what the others may not: every key by itself is a register whose operations can be put in an order
 * that fits their times and answers (Wing and Gong); all watchers saw the same changes, each in the order of versions, and every
 * acknowledged write is among them; every list is the state that the changes up to its version make.
 */
export function check(history: History): string[] {
  return [...checkWatches(history), ...checkLists(history), ...checkKeys(history)];
}

/** The changes that any watcher saw, by version. A key changes at most once in one. */
function logOf(watches: readonly Watched[]): Map<string, Change> {
  const log = new Map<string, Change>();
  for (const { changes } of watches) for (const change of changes) log.set(`${change.version} ${change.key}`, change);
  return log;
}

function checkWatches({ operations, watches, end }: History): string[] {
  const problems: string[] = [];
  const log = logOf(watches);
  for (const [i, { from, changes }] of watches.entries()) {
    let last = from;
    const seen = new Set<string>();
    for (const change of changes) {
      if (change.version <= last) problems.push(`watch ${i}: version ${change.version} of ${change.key} after ${last}`);
      last = Math.max(last, change.version);
      seen.add(`${change.version} ${change.key}`);
      const other = log.get(`${change.version} ${change.key}`);
      if (other?.token !== change.token)
        problems.push(
          `watch ${i}: version ${change.version} of ${change.key} is ${change.token}, and ${other?.token} elsewhere`,
        );
    }
    for (const [id, change] of log)
      if (change.version > from && change.version <= end.version && !seen.has(id))
        problems.push(`watch ${i}: version ${id} (${change.token ?? "deleted"}) was left out`);
  }
  const began = Math.min(...watches.map(({ from }) => from));
  for (const { key, action, outcome } of operations) {
    if (outcome.type !== "ok" || action.type === "get" || action.type === "delete") continue;
    const { token, version } = outcome.seen;
    if (version > began && log.get(`${version} ${key}`)?.token !== token)
      problems.push(`${action.type} of ${key} was acknowledged as ${token} at ${version}, but no watch told of it`);
  }
  return problems;
}

function checkLists({ lists, watches, end }: History): string[] {
  const problems: string[] = [];
  const changes = [...logOf(watches).values()].sort((a, b) => a.version - b.version);
  const ordered = [...lists, end].sort((a, b) => a.version - b.version);
  const state = new Map<string, Seen>();
  let next = 0;
  for (const list of ordered) {
    for (let change = changes[next]; change && change.version <= list.version; change = changes[++next]) {
      if (change.token === undefined) state.delete(change.key);
      else state.set(change.key, { token: change.token, version: change.version });
    }
    for (const key of new Set([...state.keys(), ...list.items.keys()])) {
      const [is, shall] = [list.items.get(key), state.get(key)];
      if (is?.token !== shall?.token || is?.version !== shall?.version)
        problems.push(`list at ${list.version}: ${key} is ${describe(is)}, and ${describe(shall)} by the changes`);
    }
  }
  return problems;
}

const describe = (seen: Seen | undefined): string => (seen ? `${seen.token} of ${seen.version}` : "absent");

function checkKeys({ operations, lists, end }: History): string[] {
  const keys = new Map<string, Operation[]>();
  for (const operation of operations) {
    const { action, outcome } = operation;
    // A read without an answer tells nothing.
    if (action.type === "get" && outcome.type === "unknown") continue;
    keys.set(operation.key, [...(keys.get(operation.key) ?? []), operation]);
  }
  for (const list of [...lists, end]) for (const [key, all] of keys) all.push(readOf(list, key));
  return [...keys].flatMap(([key, all]) => checkKey(key, all));
}

/** A list is a get of each key. */
function readOf({ client, begun, ended, items }: Listed, key: string): Operation {
  const seen = items.get(key);
  return {
    key,
    client,
    action: { type: "get" },
    begun,
    ended,
    outcome: seen ? { type: "ok", seen } : { type: "absent" },
  };
}

/** What is there: undefined is nothing. The version of a write with an unknown outcome is unknown too, until somebody sees it: 0. */
type State = Seen | undefined;

/** States in which the operation may leave the key, if it can take place in this one. */
function step({ action, outcome }: Operation, state: State): { readonly next: State } | undefined {
  if (outcome.type === "unknown") {
    if (action.type === "create") return state ? undefined : { next: { token: action.token, version: 0 } };
    if (action.type === "delete") return state ? { next: undefined } : undefined;
    if (action.type === "update")
      return state && (state.version === 0 || state.version === action.base)
        ? { next: { token: action.token, version: 0 } }
        : undefined;
    return undefined;
  }
  if (outcome.type === "absent") return state ? undefined : { next: undefined };
  if (outcome.type === "exists") return state ? { next: state } : undefined;
  if (outcome.type === "conflict")
    return action.type === "update" && state && state.version === action.base ? undefined : { next: state };
  const { seen } = outcome;
  switch (action.type) {
    case "create":
      return state ? undefined : { next: seen };
    case "update":
      return state && (state.version === action.base || state.version === 0) && seen.version > state.version
        ? { next: seen }
        : undefined;
    case "delete":
      return state?.token === seen.token ? { next: undefined } : undefined;
    case "get":
      return state?.token === seen.token && (state.version === 0 || state.version === seen.version)
        ? { next: seen }
        : undefined;
  }
}

/** Steps that a search may take: many times what a sound history needs. */
const patience = 2_000_000;

/** Searches for an order of the operations of one key. */
function checkKey(key: string, operations: readonly Operation[]): string[] {
  const all = [...operations].sort((a, b) => a.begun - b.begun);
  const done = new Uint8Array(all.length);
  let open = all.filter(({ outcome }) => outcome.type !== "unknown").length;
  const refuted = new Set<string>();
  let steps = 0;
  let deepest = 0;
  let stuck = "";
  const endOf = ({ ended, outcome }: Operation): number => (outcome.type === "unknown" ? Infinity : ended);

  const search = (first: number, state: State): boolean => {
    if (open === 0) return true;
    if (++steps > patience) return false;
    let from = first;
    while (done[from]) from++;
    const id = `${from} ${state?.token ?? ""} ${state?.version ?? ""} ${idOf(done, from)}`;
    if (refuted.has(id)) return false;
    // Whoever ended before another began comes before it.
    let until = Infinity;
    for (let i = from; i < all.length; i++) {
      const operation = all[i];
      if (!operation || operation.begun > until) break;
      if (!done[i]) until = Math.min(until, endOf(operation));
    }
    for (let i = from; i < all.length; i++) {
      const operation = all[i];
      if (!operation || operation.begun > until) break;
      if (done[i]) continue;
      const result = step(operation, state);
      if (!result) continue;
      const known = operation.outcome.type !== "unknown";
      done[i] = 1;
      if (known) open--;
      if (search(from, result.next)) return true;
      done[i] = 0;
      if (known) open++;
    }
    if (all.length - open > deepest) {
      deepest = all.length - open;
      stuck = `${describe(state)}, then ${JSON.stringify(all[from])}`;
    }
    refuted.add(id);
    return false;
  };
  if (search(0, undefined)) return [];
  if (steps > patience) return [`${key}: no order was found in ${patience} steps`];
  return [`${key}: its ${all.length} operations have no order; one ends at ${stuck}`];
}

/** Which operations from `from` on are done: the done ones lie close together. */
function idOf(done: Uint8Array, from: number): string {
  let last = done.length - 1;
  while (last > from && !done[last]) last--;
  return Buffer.from(done.subarray(from, last + 1)).toString("latin1");
}
