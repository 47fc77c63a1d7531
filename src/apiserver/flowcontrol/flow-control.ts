import { resources, type FlowSchema, type PriorityLevelConfiguration } from "../../kube/index.ts";
import type { Metrics } from "../../system/index.ts";
import type { UserInfo } from "../handler.ts";
import type { RequestInfo } from "../request/request-info.ts";
import { prefixFor, type Storage } from "../storage/index.ts";
import { bootstrapLevels, bootstrapSchemas, mandatory } from "./bootstrap-objects.ts";
import { matchersOf, type FlowMatcher } from "./classify.ts";
import { createFlowControlFigures, type FlowFigures, type LevelFigures } from "./figures.ts";
import { createQueueSet, type QueueSet, type Waiter } from "./queue-set.ts";
import { shareSeats, type Allotment } from "./seats.ts";

/** The seats that a request holds. */
export interface Ticket {
  /** By what it was classified, for the answer. */
  readonly headers: Readonly<Record<string, string>>;
  /** Gives the seats back. Further calls do nothing. */
  readonly leave: () => void;
}

/** There is no place for a request, or it waited for too long: 429. */
export class TooManyRequests extends Error {
  readonly headers: Readonly<Record<string, string>>;

  constructor(headers: Readonly<Record<string, string>>) {
    super("Too many requests, please try again later.");
    this.name = "TooManyRequests";
    this.headers = headers;
  }
}

export interface Entering {
  readonly user: UserInfo;
  readonly info: RequestInfo;
  /** Seats that it takes: see `seatsOf`. */
  readonly seats: number;
  /** Who goes away waits no longer. Looked at when the request has to wait. */
  readonly signal: AbortSignal;
}

/** Priority and fairness of requests (KEP-1040). */
export interface FlowControl {
  /** Takes seats: at once where there are some, else after a wait. Throws TooManyRequests, or what aborted the signal. */
  enter(request: Entering): Ticket | Promise<Ticket>;
  /** All levels as they are now, for who looks for a fault. */
  levels(): readonly LevelState[];
}

/** A priority level at one moment. */
export interface LevelState {
  readonly name: string;
  /** With those that wait in each, the next first. Undefined: nobody waits in this level. */
  readonly queues: readonly { readonly waiting: readonly RequestState[]; readonly begins: number }[] | undefined;
  readonly executing: readonly RequestState[];
  readonly counts: Readonly<LevelCounts>;
}

interface LevelCounts {
  dispatched: number;
  rejected: number;
  timedOut: number;
  cancelled: number;
}

/** A request that waits or is worked on. */
export interface RequestState {
  readonly request: Pick<Entering, "user" | "info">;
  readonly schema: string;
  /** By what the requests of a schema are told apart. */
  readonly distinguisher: string;
  readonly seats: number;
  /** Number of the queue that it is in or came from; -1: none. */
  readonly queue: number;
  /** Milliseconds of `performance.now()`; `started` is undefined while it waits. */
  readonly arrived: number;
  readonly started: number | undefined;
}

export interface FlowControlOptions {
  readonly storage: Storage;
  readonly metrics: Metrics;
  /** Seats of all levels together. Default 600, as upstream's `--max-requests-inflight` and its mutating sibling. */
  readonly seats?: number;
  /** Milliseconds that a request waits at most. Default a quarter of the 60 seconds that it has. */
  readonly patience?: number;
  /** The objects of every cluster are there: before, they count without being there. */
  readonly ensured: () => boolean;
}

interface Level {
  readonly name: string;
  config: PriorityLevelConfiguration;
  allotment: Allotment;
  /** Undefined: nobody waits, who finds no seat is turned away. */
  queues: QueueSet<WaitingRequest> | undefined;
  inUse: number;
  readonly executing: Set<HeldSeats>;
  readonly counts: LevelCounts;
  readonly figures: LevelFigures;
}

/** What holds seats, or waits for them. */
interface HeldSeats {
  readonly flow: Flow;
  readonly request: Entering;
  readonly seats: number;
  readonly queue: number;
  readonly arrived: number;
  readonly started: number | undefined;
}

interface WaitingRequest extends Waiter {
  readonly held: HeldSeats;
}

interface Flow {
  readonly matcher: FlowMatcher;
  readonly level: Level;
  readonly figures: FlowFigures;
  readonly headers: Readonly<Record<string, string>>;
}

const noSeats: Allotment = { nominal: 0, lendable: 0, borrowable: 0 };

export function createFlowControl(options: FlowControlOptions): FlowControl {
  const { storage, metrics, seats: total = 600, patience = 15_000, ensured } = options;
  const schemaCache = storage.of(resources.FlowSchema);
  const levelCache = storage.of(resources.PriorityLevelConfiguration);
  const figures = createFlowControlFigures(metrics);
  let levels = new Map<string, Level>();
  let flows: readonly Flow[] = [];
  /** Those that may have a user's requests: a connection, or a token, has one object for all of its requests. */
  let concerning = new WeakMap<UserInfo, readonly Flow[]>();
  /** What `flows` were made of. */
  let made = "";
  let madeSchemas = -1;
  let madeLevels = -1;
  let madeEnsured = false;
  /** Levels in which somebody waits. */
  const waiting = new Set<Level>();

  const configure = (): void => {
    const isEnsured = ensured();
    if (madeSchemas === schemaCache.changed && madeLevels === levelCache.changed && madeEnsured === isEnsured) return;
    madeSchemas = schemaCache.changed;
    madeLevels = levelCache.changed;
    madeEnsured = isEnsured;
    const stored = <T>(cache: typeof schemaCache): T[] =>
      cache.under(prefixFor(cache.resource)).map(({ object }) => object as unknown as T);
    const configs = completed(stored<PriorityLevelConfiguration>(levelCache), bootstrapLevels, isEnsured);
    const schemas = completed(stored<FlowSchema>(schemaCache), bootstrapSchemas, isEnsured);
    // A status that is written changes nothing here.
    const shape = JSON.stringify(
      [configs, schemas].map((all) => all.map(({ metadata, spec }) => [metadata.name, metadata.uid, spec])),
    );
    if (shape === made) return;
    made = shape;
    const allotments = shareSeats(configs, total);
    levels = new Map(
      configs.map((config) => {
        const { name } = config.metadata;
        const level = levels.get(name) ?? {
          name,
          config,
          allotment: noSeats,
          queues: undefined,
          inUse: 0,
          executing: new Set(),
          counts: { dispatched: 0, rejected: 0, timedOut: 0, cancelled: 0 },
          figures: figures.level(name),
        };
        level.allotment = allotments.get(name) ?? noSeats;
        level.figures.limits(level.allotment.nominal, level.allotment.lendable);
        reshape(level, config);
        return [name, level];
      }),
    );
    concerning = new WeakMap();
    flows = matchersOf(schemas).flatMap((matcher) => {
      const { metadata, spec } = matcher.schema;
      const level = levels.get(spec.priorityLevelConfiguration.name);
      // A schema whose level is missing is as if it were not there.
      if (!level) return [];
      const uids = { schema: metadata.uid, level: level.config.metadata.uid };
      const headers: Record<string, string> =
        uids.schema && uids.level
          ? { "x-kubernetes-pf-flowschema-uid": uids.schema, "x-kubernetes-pf-prioritylevel-uid": uids.level }
          : {};
      return [{ matcher, level, figures: figures.of(level.name, metadata.name), headers }];
    });
    dispatch();
  };

  /** Gives a level the queues of its configuration; who waits goes on waiting, as far as there is room. */
  const reshape = (level: Level, config: PriorityLevelConfiguration): void => {
    const before = level.queues;
    const isSame = before && JSON.stringify(queuingOf(level.config)) === JSON.stringify(queuingOf(config));
    level.config = config;
    if (isSame) return;
    const queuing = queuingOf(config);
    level.queues = queuing && createQueueSet<WaitingRequest>(queuing);
    for (const waiter of before?.all() ?? []) if (!level.queues?.add(waiter)) waiter.start(-1);
    if (!level.queues?.length) waiting.delete(level);
  };

  const mayRun = (level: Level, wanted: number): boolean => {
    const { nominal, borrowable } = level.allotment;
    const after = level.inUse + wanted;
    if (after <= nominal) return true;
    if (after - nominal > borrowable) return false;
    let lent = 0;
    let borrowed = 0;
    for (const other of levels.values()) {
      if (other === level || isExempt(other)) continue;
      const free = other.allotment.nominal - other.inUse;
      if (free > 0) lent += Math.min(free, other.allotment.lendable);
      else borrowed -= free;
    }
    return borrowed + after - nominal <= lent;
  };

  /** Gives free seats to those who wait: first in levels that have not got their own share. */
  const dispatch = (): void => {
    for (const within of [true, false]) {
      for (const level of waiting) {
        for (let next = level.queues?.peek(); next; next = level.queues?.peek()) {
          if (within ? level.inUse + next.seats > level.allotment.nominal : !mayRun(level, next.seats)) break;
          next.start(level.queues?.shift() ?? -1);
        }
        if (!level.queues?.length) waiting.delete(level);
      }
    }
  };

  const take = (flow: Flow, request: Entering, taken: number, from?: { queue: number; arrived: number }): Ticket => {
    const { level, figures: counted, headers } = flow;
    level.inUse += taken;
    level.counts.dispatched++;
    counted.dispatched();
    counted.executing(1, taken);
    const begun = performance.now();
    const { queue = -1, arrived = begun } = from ?? {};
    const held: HeldSeats = { flow, request, seats: taken, queue, arrived, started: begun };
    level.executing.add(held);
    const isWatch = request.info.verb === "watch";
    let left = false;
    return {
      headers,
      leave() {
        if (left) return;
        left = true;
        level.inUse -= taken;
        level.executing.delete(held);
        counted.executing(-1, taken);
        counted.executed((performance.now() - begun) / 1000, isWatch);
        if (waiting.size > 0) dispatch();
      },
    };
  };

  const wait = (flow: Flow, request: Entering, taken: number): Promise<Ticket> =>
    new Promise((resolve, reject) => {
      const { level, figures: counted, headers, matcher } = flow;
      const { signal } = request;
      const begun = performance.now();
      const end = (executed: boolean): void => {
        clearTimeout(timer);
        signal.removeEventListener("abort", goes);
        counted.waiting(-1, taken);
        counted.waited((performance.now() - begun) / 1000, executed);
      };
      const giveUp = (reason: "time-out" | "cancelled", error: unknown): void => {
        if (!level.queues?.remove(waiter)) return;
        if (level.queues.length === 0) waiting.delete(level);
        end(false);
        level.counts[reason === "cancelled" ? "cancelled" : "timedOut"]++;
        counted.rejected(reason);
        reject(error);
      };
      const goes = (): void => giveUp("cancelled", signal.reason);
      const timer = setTimeout(() => giveUp("time-out", new TooManyRequests(headers)), patience);
      const waiter: WaitingRequest = {
        seats: taken,
        held: { flow, request, seats: taken, queue: -1, arrived: begun, started: undefined },
        flow: `${matcher.schema.metadata.name}\0${matcher.distinguisher(request.user, request.info)}`,
        start(queue) {
          end(true);
          resolve(take(flow, request, taken, { queue, arrived: begun }));
        },
      };
      counted.waiting(1, taken);
      signal.addEventListener("abort", goes);
      if (!level.queues?.add(waiter)) {
        end(false);
        level.counts.rejected++;
        counted.rejected("queue-full");
        reject(new TooManyRequests(headers));
        return;
      }
      waiting.add(level);
      if (signal.aborted) goes();
    });

  return {
    enter(request) {
      configure();
      const { user, info } = request;
      let mine = concerning.get(user);
      if (!mine) concerning.set(user, (mine = flows.filter(({ matcher }) => matcher.concerns(user))));
      const flow = mine.find(({ matcher }) => matcher.matches(user, info)) ?? flows.at(-1);
      if (!flow) throw new TooManyRequests({});
      const { level } = flow;
      if (isExempt(level)) return take(flow, request, request.seats);
      const wanted = Math.min(request.seats, Math.max(1, level.allotment.nominal));
      // Nobody overtakes those who wait.
      if (!level.queues?.length && mayRun(level, wanted)) return take(flow, request, wanted);
      if (level.queues) return wait(flow, request, wanted);
      level.counts.rejected++;
      flow.figures.rejected("concurrency-limit");
      throw new TooManyRequests(flow.headers);
    },
    levels() {
      configure();
      return [...levels.values()].map((level) => ({
        name: level.name,
        queues: level.queues?.queues().map(({ waiting: waiters, begins }, queue) => ({
          begins,
          waiting: waiters.map(({ held }) => stateOf({ ...held, queue })),
        })),
        executing: [...level.executing].map(stateOf),
        counts: { ...level.counts },
      }));
    },
  };
}

function stateOf({ flow: { matcher }, request, seats, queue, arrived, started }: HeldSeats): RequestState {
  const { user, info } = request;
  const distinguisher = matcher.distinguisher(user, info);
  return {
    request: { user, info },
    schema: matcher.schema.metadata.name,
    distinguisher,
    seats,
    queue,
    arrived,
    started,
  };
}

const isExempt = ({ config }: Level): boolean => config.spec.type === "Exempt";

function queuingOf({ spec }: PriorityLevelConfiguration) {
  const { limitResponse } = spec.limited ?? {};
  if (limitResponse?.type !== "Queue") return undefined;
  const { queues = 64, handSize = 8, queueLengthLimit = 50 } = limitResponse.queuing ?? {};
  return { queues, handSize, lengthLimit: queueLengthLimit };
}

/** What is stored, and what counts although it is not: the mandatory objects, and before they could be written all others. */
function completed<T extends { metadata: { name: string }; spec: unknown }>(
  stored: readonly T[],
  bootstrap: readonly T[],
  ensured: boolean,
): T[] {
  const names = new Set(stored.map(({ metadata }) => metadata.name));
  const missing = bootstrap.filter(({ metadata: { name } }) => !names.has(name) && (!ensured || mandatory.has(name)));
  return [...stored, ...missing];
}

/** Objects of a list that one seat is good for, and the most seats that a request takes, as upstream. */
const objectsPerSeat = 100;
const mostSeats = 10;

/** Seats of a request: a list that shows much takes several. `size` is how many objects of the kind there are. */
export function seatsOf(info: RequestInfo, query: URLSearchParams, size: () => number): number {
  if (info.type !== "resource" || info.verb !== "list") return 1;
  const limit = Number(query.get("limit") ?? 0);
  const objects = limit > 0 ? Math.min(limit, size()) : size();
  return Math.min(mostSeats, Math.max(1, Math.ceil(objects / objectsPerSeat)));
}
