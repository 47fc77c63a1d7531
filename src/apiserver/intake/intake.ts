import type { Metrics } from "../../system/index.ts";
import { seatsOf, TooManyRequests, type FlowControl } from "../flowcontrol/index.ts";
import type { ApiRequest, ApiResponse, Origin, UserInfo } from "../handler.ts";
import { isTrue, type RequestInfo } from "../request/request-info.ts";
import { textResponse } from "../request/respond.ts";
import { timeOf, withDeadline } from "./deadline.ts";

export interface IntakeOptions {
  readonly metrics: Metrics;
  /** Absent: nobody waits. */
  readonly flowControl?: FlowControl;
  /** Objects of the kind that a request is about. */
  readonly sizeOf: (info: RequestInfo) => number;
  /** Told of a request that the server ended in self-defence: too many at once (429), or too long (504). */
  readonly terminated?: (info: RequestInfo, code: 429 | 504) => void;
}

/** What holds for every request over the network: a place among the others, a time, and an end when the server ends. */
export interface Intake {
  /** Makes an answer within the bounds that hold for the request. */
  answer(request: ApiRequest, info: RequestInfo, make: () => Promise<ApiResponse>): Promise<ApiResponse>;
  /** Takes the request's seats, once it is known who asks: nothing, or what is to be waited for. Throws TooManyRequests. */
  enter(request: ApiRequest, info: RequestInfo, user: UserInfo): Promise<void> | undefined;
  readonly draining: boolean;
  /** Requests that are worked on now, without those that go on for as long as they like. */
  readonly underWay: number;
  /** Turns new requests away, except those for health, and ends watches. Settles when nothing is under way, or `patience` milliseconds have passed. */
  drain(patience: number): Promise<void>;
}

/** Parts whose requests go on as long as somebody likes (upstream's long-running check). */
const longParts: ReadonlySet<string> = new Set(["attach", "exec", "proxy", "log", "portforward"]);

/** Whether a request may go on for as long as it likes. */
export function isLongRunning(info: RequestInfo, query: URLSearchParams): boolean {
  if (info.type === "path") return false;
  return info.verb === "watch" || longParts.has(info.subresource) || (isTrue(query.get("watch")) && info.name === "");
}

const health = /^\/(?:healthz|livez|readyz)(?:\/|$)/;

/** Milliseconds that watches have to end while the server ends. */
const watchesEnd = 5_000;

export function createIntake({ metrics, flowControl, sizeOf, terminated }: IntakeOptions): Intake {
  const now = { reading: 0, mutating: 0 };
  tellOfInFlight(metrics, now);
  const watches = new Set<Origin>();
  /** What gives back the seats of a watch when it has begun: only that counts. */
  const begun = new WeakMap<Origin, () => void>();
  let draining = false;
  let changed = (): void => {};

  const begin = (origin: Origin, mutating: boolean): void => {
    const kind = mutating ? "mutating" : "reading";
    now[kind]++;
    origin.onEnd(() => {
      now[kind]--;
      changed();
    });
  };
  const follow = (origin: Origin): void => {
    watches.add(origin);
    origin.onEnd(() => {
      watches.delete(origin);
      changed();
    });
    if (draining) origin.giveUp(shuttingDown);
  };
  /** Settles when `isDone`, or so many milliseconds have passed. */
  const until = async (isDone: () => boolean, patience: number): Promise<void> => {
    if (isDone()) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, patience);
      changed = () => {
        if (!isDone()) return;
        clearTimeout(timer);
        resolve();
      };
    });
    changed = () => {};
  };

  return {
    get draining() {
      return draining;
    },
    get underWay() {
      return now.reading + now.mutating;
    },
    async answer(request, info, make) {
      const { origin, query } = request;
      if (!origin) return make();
      if (draining && !health.test(request.path)) {
        const again = { "retry-after": "5" };
        return refusal("The apiserver is shutting down, please try again later.\n", again);
      }
      try {
        if (isLongRunning(info, query)) {
          const response = await make();
          begun.get(origin)?.();
          if (response.type === "watch") follow(origin);
          return response;
        }
        begin(origin, request.method !== "GET" && request.method !== "HEAD");
        return await withDeadline(origin, timeOf(query), make(), () => terminated?.(info, 504));
      } catch (error) {
        if (!(error instanceof TooManyRequests)) throw error;
        terminated?.(info, 429);
        Object.assign(origin.headers, error.headers);
        return refusal(`${error.message}\n`, { "retry-after": "1" });
      }
    },
    enter(request, info, user) {
      const { origin, query } = request;
      if (!flowControl || !origin) return undefined;
      const isWatch = info.verb === "watch";
      if (!isWatch && isLongRunning(info, query)) return undefined;
      const entering = {
        user,
        info,
        seats: seatsOf(info, query, () => sizeOf(info)),
        get signal() {
          return request.signal;
        },
      };
      const ticket = flowControl.enter(entering);
      const hold = (taken: Awaited<typeof ticket>): void => {
        Object.assign(origin.headers, taken.headers);
        origin.onEnd(taken.leave);
        if (isWatch) begun.set(origin, taken.leave);
      };
      if (ticket instanceof Promise) return ticket.then(hold);
      hold(ticket);
      return undefined;
    },
    async drain(patience) {
      draining = true;
      await until(() => now.reading + now.mutating === 0, patience);
      for (const origin of watches) origin.giveUp(shuttingDown);
      await until(() => watches.size === 0, watchesEnd);
    },
  };
}

const shuttingDown = new Error("the server is shutting down");

function refusal(text: string, headers: Record<string, string>): ApiResponse {
  const response = textResponse(429, text);
  return { ...response, headers: { ...response.headers, ...headers } };
}

/** Under the name that kube-apiserver has. */
function tellOfInFlight(metrics: Metrics, now: { readonly reading: number; readonly mutating: number }): void {
  const requests = metrics.gauge(
    "apiserver_current_inflight_requests",
    "Requests over the network that are worked on now.",
    ["request_kind"],
  );
  requests("readOnly").from(() => now.reading);
  requests("mutating").from(() => now.mutating);
}
