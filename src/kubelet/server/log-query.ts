import type { ContainerRecord } from "../runtime/runtime.ts";
import type { Pod } from "../../kube/index.ts";
import { newest, type PodView } from "../pods/pod-view.ts";

export interface LogQuery {
  readonly follow: boolean;
  readonly previous: boolean;
  readonly timestamps: boolean;
  readonly tailLines?: number;
  readonly since?: number;
  readonly limitBytes?: number;
}

/** A request that cannot be served: the HTTP status and, as body, why. */
export class RequestError extends Error {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;

  constructor(status: number, message: string) {
    super(message);
    this.name = "RequestError";
    this.status = status;
  }
}

/** Reads PodLogOptions from a query. Throws `RequestError` 400 naming the parameter. */
export function parseLogQuery(query: URLSearchParams, now: number): LogQuery {
  const flag = (name: string): boolean => ["true", "1", ""].includes(query.get(name) ?? "false");
  const number = (name: string, least: number): number | undefined => {
    const text = query.get(name);
    if (text === null) return undefined;
    if (!/^\d{1,15}$/.test(text) || Number(text) < least) {
      throw new RequestError(400, `${name}=${text} must be a whole number of at least ${least}`);
    }
    return Number(text);
  };
  const seconds = number("sinceSeconds", 1);
  const sinceTime = query.get("sinceTime");
  if (sinceTime !== null && Number.isNaN(Date.parse(sinceTime))) {
    throw new RequestError(400, `sinceTime=${sinceTime} must be a time such as 2026-01-01T00:00:00Z`);
  }
  const since = sinceTime === null ? (seconds === undefined ? undefined : now - seconds * 1000) : Date.parse(sinceTime);
  const tailLines = number("tailLines", 0);
  const limitBytes = number("limitBytes", 1);
  return {
    follow: flag("follow"),
    previous: flag("previous"),
    timestamps: flag("timestamps"),
    ...(tailLines === undefined ? {} : { tailLines }),
    ...(limitBytes === undefined ? {} : { limitBytes }),
    ...(since === undefined ? {} : { since }),
  };
}

/** Which attempt's log is meant. Throws `RequestError` in the kubelet's words when there is none. */
export function chooseAttempt(pod: Pod, container: string, view: PodView, previous: boolean): ContainerRecord {
  const { initContainers = [], containers, ephemeralContainers = [] } = pod.spec;
  const specs = [...initContainers, ...containers, ...ephemeralContainers];
  const { name } = pod.metadata;
  if (!specs.some((spec) => spec.name === container)) {
    throw new RequestError(404, `container "${container}" not found in pod "${name}"`);
  }
  const attempts = view.containers.get(container) ?? [];
  const last = newest(view, container);
  const waiting = statusOf(pod, container)?.state?.waiting?.reason;
  if (previous) {
    const before = last?.state === "exited" && waiting ? last : attempts[1];
    if (before) return before;
    throw new RequestError(400, `previous terminated container "${container}" in pod "${name}" not found`);
  }
  if (last) return last;
  throw new RequestError(
    400,
    `container "${container}" in pod "${name}" is waiting to start: ${waiting ?? "ContainerCreating"}`,
  );
}

function statusOf({ status }: Pod, container: string) {
  const { initContainerStatuses = [], containerStatuses = [], ephemeralContainerStatuses = [] } = status ?? {};
  const all = [...initContainerStatuses, ...containerStatuses, ...ephemeralContainerStatuses];
  return all.find(({ name }) => name === container);
}
