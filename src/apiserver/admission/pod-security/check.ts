import type { Container, EphemeralContainer, PodSpec } from "../../../kube/index.ts";

/** What a check looks at. */
export interface CheckedPod {
  readonly annotations: Readonly<Record<string, string>>;
  readonly spec: PodSpec;
  /** Init containers, containers and ephemeral containers. */
  readonly containers: readonly (Container | EphemeralContainer)[];
}

/** Why a pod is not allowed, in the words of Kubernetes' PodSecurity. */
export interface Violation {
  readonly reason: string;
  readonly detail: string;
}

/** One control of the Pod Security Standards, from a minor version on. */
export interface Check {
  readonly id: string;
  /** Minor version of Kubernetes since when it is so; a later entry of the same id takes its place. */
  readonly since: number;
  /** A check of the baseline level that this one of the restricted level makes needless. */
  readonly overrides?: string;
  check(pod: CheckedPod): Violation | undefined;
}

export function checkedPod(annotations: Readonly<Record<string, string>> | undefined, spec: PodSpec): CheckedPod {
  const { initContainers = [], containers, ephemeralContainers = [] } = spec;
  return {
    annotations: annotations ?? {},
    spec,
    containers: [...initContainers, ...containers, ...ephemeralContainers],
  };
}

export const quoted = (items: readonly string[]): string => items.map((item) => `"${item}"`).join(", ");
export const plural = (singular: string, count: number): string => (count === 1 ? singular : `${singular}s`);
export const sorted = (items: Iterable<string>): string[] => [...new Set(items)].sort();

/** `container "a"`, `containers "a", "b"`. */
export const named = (containers: readonly { name: string }[]): string =>
  `${plural("container", containers.length)} ${quoted(containers.map(({ name }) => name))}`;

/** The pod and containers that set something they must not: `pod and container "a"`; undefined when there are none. */
export function setters(pod: boolean, containers: readonly { name: string }[]): string | undefined {
  const all = [...(pod ? ["pod"] : []), ...(containers.length > 0 ? [named(containers)] : [])];
  return all.length > 0 ? all.join(" and ") : undefined;
}

/** Checks of Linux features do not hold for a pod that says it is for Windows. */
export const notOnWindows =
  (check: Check["check"]): Check["check"] =>
  (pod) =>
    pod.spec.os?.name === "windows" ? undefined : check(pod);

/** A pod in a user namespace of its own may be root there (KEP-127). */
export const notInUserNamespace =
  (check: Check["check"]): Check["check"] =>
  (pod) =>
    pod.spec.hostUsers === false ? undefined : check(pod);
