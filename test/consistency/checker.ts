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

function checkKeys({ operations, lists, watches, end }: History): string[] {
  const logs = new Map<string, Change[]>();
  for (const change of [...logOf(watches).values()].sort((a, b) => a.version - b.version))
    logs.set(change.key, [...(logs.get(change.key) ?? []), change]);
  const keys = new Map<string, Operation[]>();
  for (const operation of operations) {
    const resolved = resolve(operation, logs.get(operation.key) ?? []);
    if (resolved) keys.set(operation.key, [...(keys.get(operation.key) ?? []), resolved]);
  }
  for (const list of [...lists, end]) for (const [key, all] of keys) all.push(readOf(list, key));
  return [...keys].flatMap(([key, all]) => checkKey(key, all, logs.get(key) ?? []));
}

/**
 * A write without an answer has happened if a watch told of its token, at any time after it was begun, and else never did. Undefined:
 * the operation tells nothing. Only of a delete it stays unknown: it has no token.
 */
function resolve(operation: Operation, log: readonly Change[]): Operation | undefined {
  const { action, outcome } = operation;
  if (outcome.type !== "unknown" || action.type === "delete") return operation;
  if (action.type === "get") return undefined;
  const made = log.find(({ token }) => token === action.token);
  if (!made) return undefined;
  return {
    ...operation,
    ended: Infinity,
    outcome: { type: "ok", seen: { token: action.token, version: made.version } },
  };
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

/** What an operation does in a state: nothing, it brings the key to the next state of its log, or it can not take place there. */
type Effect = "none" | "next" | "impossible";

/** `state`: what is there; `next`: what the log says comes after it, `undefined` for the end of the log. */
function effectOf({ action, outcome }: Operation, state: Seen | undefined, next: Change | undefined): Effect {
  const onlyIf = (holds: boolean, effect: Effect = "none"): Effect => (holds ? effect : "impossible");
  if (outcome.type === "unknown")
    return onlyIf(state !== undefined && next !== undefined && next.token === undefined, "next");
  if (outcome.type === "absent") return onlyIf(!state);
  if (outcome.type === "exists") return onlyIf(state !== undefined);
  if (outcome.type === "conflict") return onlyIf(action.type !== "update" || state?.version !== action.base);
  const { seen } = outcome;
  const makes = next?.token === seen.token && next.version === seen.version;
  switch (action.type) {
    case "create":
      return onlyIf(!state && makes, "next");
    case "update":
      return onlyIf(state?.version === action.base && makes, "next");
    case "delete":
      return onlyIf(state?.token === seen.token && next !== undefined && next.token === undefined, "next");
    default:
      return onlyIf(state?.token === seen.token && state.version === seen.version);
  }
}

/** Steps that a search may take: many times what a sound history needs. */
const patience = 2_000_000;

/** Searches for an order of the operations of one key, whose states are those of `log`. */
function checkKey(key: string, operations: readonly Operation[], log: readonly Change[]): string[] {
  const all = [...operations].sort((a, b) => a.begun - b.begun);
  const done = new Uint8Array(all.length);
  const isKnown = ({ outcome }: Operation): boolean => outcome.type !== "unknown";
  let open = all.filter(isKnown).length;
  const refuted = new Set<string>();
  let steps = 0;
  let deepest = -1;
  let stuck = "";

  /** Operations that may come next: whoever ended before another began comes before it. */
  const candidates = (from: number): number[] => {
    const found: number[] = [];
    let until = Infinity;
    for (let i = from; i < all.length; i++) {
      const operation = all[i];
      if (!operation || operation.begun > until) break;
      if (done[i]) continue;
      found.push(i);
      if (isKnown(operation)) until = Math.min(until, operation.ended);
    }
    return found.filter((i) => (all[i]?.begun ?? Infinity) <= until);
  };
  const mark = (i: number, value: 0 | 1): void => {
    done[i] = value;
    const operation = all[i];
    if (operation && isKnown(operation)) open += value === 1 ? -1 : 1;
  };

  const search = (first: number, place: number): boolean => {
    let from = first;
    const before = log[place - 1];
    const state = before?.token === undefined ? undefined : { token: before.token, version: before.version };
    const next = log[place];
    const taken: number[] = [];
    const undo = (): false => {
      for (const i of taken) mark(i, 0);
      return false;
    };
    // What changes nothing and can take place now may as well do so.
    for (let more = true; more;) {
      more = false;
      while (done[from]) from++;
      for (const i of candidates(from)) {
        if (effectOf(all[i] as Operation, state, next) !== "none") continue;
        mark(i, 1);
        taken.push(i);
        more = true;
      }
    }
    if (open === 0) return true;
    if (++steps > patience) return undo();
    const id = `${from} ${place} ${idOf(done, from)}`;
    if (refuted.has(id)) return undo();
    for (const i of candidates(from)) {
      if (effectOf(all[i] as Operation, state, next) !== "next") continue;
      mark(i, 1);
      if (search(from, place + 1)) return true;
      mark(i, 0);
    }
    refuted.add(id);
    if (place > deepest) {
      deepest = place;
      const waiting = candidates(from).map((i) => JSON.stringify(all[i]));
      stuck = `${describe(state)}, before ${JSON.stringify(next)}; none fits of ${waiting.join(", ")}`;
    }
    return undo();
  };
  if (search(0, 0)) return [];
  if (steps > patience) return [`${key}: no order was found in ${patience} steps`];
  return [`${key}: its ${all.length} operations have no order; one ends at ${stuck}`];
}

/** Which operations from `from` on are done: the done ones lie close together. */
function idOf(done: Uint8Array, from: number): string {
  let last = done.length - 1;
  while (last > from && !done[last]) last--;
  return Buffer.from(done.subarray(from, last + 1)).toString("latin1");
}
