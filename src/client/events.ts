import { apiVersionOf, isStatus, type KubeObject, type ObjectReference, resources } from "../kube/index.ts";
import { type Clock, type Logger, systemClock } from "../system/index.ts";
import { backOff } from "./back-off.ts";
import type { Client } from "./client.ts";
import { messageOf } from "./outcomes.ts";

export type EventType = "Normal" | "Warning";

/** Writes Events. It never blocks and never throws: what can't be written is dropped, with a line in the log. */
export interface EventRecorder {
  /** `fieldPath` names a part of the object, for example `spec.containers{web}`. */
  event(object: KubeObject, type: EventType, reason: string, message: string, options?: { fieldPath?: string }): void;
  /** Settles when all events so far are written or dropped. */
  flush(): Promise<void>;
}

export interface EventRecorderOptions {
  /** Who reports, for example `deployment-controller`. */
  readonly component: string;
  readonly log: Logger;
  /** Node name of who reports; absent for parts that belong to no node. */
  readonly host?: string;
  readonly clock?: Clock;
  /** Stops retries when it aborts. */
  readonly signal?: AbortSignal;
}

const queueLimit = 1000;
const memoryLimit = 4096;
const messageLimit = 1024;
/** More different messages than this of one object and reason within `similarWindow` ms become one event. */
const similarLimit = 10;
const similarWindow = 600_000;
/** Events an object may have at once, and milliseconds until it may have one more. */
const burst = 25;
const refill = 300_000;
const attempts = 5;

interface Task {
  readonly about: ObjectReference;
  readonly type: EventType;
  readonly reason: string;
  readonly message: string;
  readonly at: number;
}

/**
 * As client-go's recorder and correlator: an event that repeats raises the count of the one that is there, many
 * similar ones are combined, and one object can't flood the cluster.
 */
export function createEventRecorder(client: Client, options: EventRecorderOptions): EventRecorder {
  const { component, host, clock = systemClock, signal = new AbortController().signal } = options;
  const log = options.log.child({ component });
  const queue: Task[] = [];
  const written = boundedMap<{ name: string; count: number }>(memoryLimit);
  const similar = boundedMap<{ messages: Set<string>; last: number }>(memoryLimit);
  const buckets = boundedMap<{ tokens: number; at: number }>(memoryLimit);
  let working: Promise<void> | undefined;
  let dropped = 0;

  const isSpam = (task: Task): boolean => {
    const id = idOf(task.about);
    const { tokens, at } = buckets.get(id) ?? { tokens: burst, at: task.at };
    const now = Math.min(burst, tokens + (task.at - at) / refill);
    buckets.set(id, { tokens: now < 1 ? now : now - 1, at: task.at });
    return now < 1;
  };

  /** The message that is written: that of the event, or one that stands for many. */
  const combine = (task: Task): { message: string; id: string } => {
    const group = [idOf(task.about), task.type, task.reason].join("\0");
    const known = similar.get(group);
    const fresh = known && task.at - known.last <= similarWindow ? known.messages : new Set<string>();
    if (fresh.size <= similarLimit) fresh.add(task.message);
    similar.set(group, { messages: fresh, last: task.at });
    if (fresh.size <= similarLimit) return { message: task.message, id: `${group}\0${task.message}` };
    const message = `(combined from similar events): ${task.message}`.slice(0, messageLimit);
    return { message, id: `${group}\0\0` };
  };

  const write = async (task: Task): Promise<void> => {
    const { message, id } = combine(task);
    const known = written.get(id);
    const namespace = task.about.namespace ?? "default";
    const lastTimestamp = timeOf(task.at);
    if (known) {
      const count = known.count + 1;
      try {
        const body = { count, lastTimestamp, message };
        const name = { namespace, name: known.name };
        await client.patch(resources.Event, name, { type: "merge", body });
        written.set(id, { name: known.name, count });
        return;
      } catch (error) {
        // It has expired: begin a new one.
        if (!isStatus(error, "NotFound")) throw error;
      }
    }
    const suffix = (BigInt(task.at) * 1_000_000n + BigInt(Math.trunc(Math.random() * 1e6))).toString(16);
    const event = await client.create(resources.Event, {
      metadata: { name: `${(task.about.name ?? "").slice(0, 230)}.${suffix}`, namespace },
      involvedObject: task.about,
      reason: task.reason,
      message,
      type: task.type,
      count: 1,
      firstTimestamp: lastTimestamp,
      lastTimestamp,
      source: { component, ...(host ? { host } : {}) },
      reportingComponent: component,
      reportingInstance: host ?? "",
    });
    written.set(id, { name: event.metadata.name, count: 1 });
  };

  const attempt = async (task: Task): Promise<void> => {
    for (let failures = 1; ; failures++) {
      try {
        return await write(task);
      } catch (error) {
        const fields = {
          reason: task.reason,
          object: task.about.name,
          error: messageOf(error),
        };
        // A namespace that goes away takes no events, and what the API refuses it refuses again.
        if (isStatus(error, "Forbidden", "NotFound", "Invalid", "BadRequest"))
          return log.debug(fields, "event refused");
        if (signal.aborted || failures === attempts) return log.warn(fields, "event dropped");
        await backOff(clock, failures, { first: 100, most: 10_000 }, signal).catch(() => {});
      }
    }
  };

  const work = async (): Promise<void> => {
    for (let task = queue.shift(); task; task = queue.shift()) await attempt(task);
    working = undefined;
    if (dropped > 0) log.warn({ dropped }, "too many events at once: some were dropped");
    dropped = 0;
  };

  return {
    event(object, type, reason, message, { fieldPath } = {}) {
      const about = { ...referenceTo(object), ...(fieldPath ? { fieldPath } : {}) };
      const task = { about, type, reason, message: message.slice(0, messageLimit), at: clock.now() };
      if (isSpam(task)) return;
      if (queue.length >= queueLimit) {
        dropped++;
        return;
      }
      queue.push(task);
      working ??= Promise.resolve().then(work);
    },
    async flush() {
      while (working) await working;
    },
  };
}

/** How an event names the object it is about. */
function referenceTo(object: KubeObject): ObjectReference {
  const { namespace, name, uid, resourceVersion } = object.metadata;
  const isNode = object.kind === "Node" && object.apiVersion === apiVersionOf(resources.Node);
  return {
    apiVersion: object.apiVersion,
    kind: object.kind,
    name,
    ...(namespace ? { namespace } : {}),
    // The kubelet has always used a Node's name here, and `kubectl describe node` looks for it.
    ...(isNode ? { uid: name } : uid ? { uid } : {}),
    ...(resourceVersion && !isNode ? { resourceVersion } : {}),
  };
}

const idOf = (about: ObjectReference): string =>
  [about.apiVersion, about.kind, about.namespace, about.name, about.uid, about.fieldPath].join("\0");

const timeOf = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;

/** A map that forgets what was set longest ago. */
function boundedMap<V>(limit: number): { get(key: string): V | undefined; set(key: string, value: V): void } {
  const entries = new Map<string, V>();
  return {
    get: (key) => entries.get(key),
    set(key, value) {
      entries.delete(key);
      entries.set(key, value);
      const [oldest] = entries.size > limit ? entries.keys() : [];
      if (oldest !== undefined) entries.delete(oldest);
    },
  };
}
