import type { HealthCheck } from "./discovery/index.ts";

/** How the parts of this server are, each asked anew. A text says what is wrong. */
export interface PartsOfHealth {
  /** The store tells of changes. */
  readonly following: () => boolean;
  /** Everything stored was read once. */
  readonly loaded: () => boolean;
  /** What every cluster has is there. */
  readonly started: () => boolean;
  readonly customKinds: () => string | undefined;
  readonly store: () => string | undefined;
  /** The server was told to end. */
  readonly leaving: () => boolean;
}

/**
 * The checks behind `/healthz`, `/livez` and `/readyz` under the names that kube-apiserver has for them: probes and test suites ask for these. Where
 * it has several parts and this server has one, several names tell of the same.
 */
export function healthChecks(parts: PartsOfHealth): HealthCheck[] {
  const loaded = (): string | undefined => (parts.loaded() ? undefined : "not finished");
  const started = (): string | undefined => (parts.started() ? undefined : "not finished");
  const hooks: Readonly<Record<string, HealthCheck["check"]>> = {
    "generic-apiserver-start-informers": loaded,
    "start-kube-apiserver-admission-initializer": loaded,
    "start-apiextensions-informers": loaded,
    // Requests wait until the kinds that are defined are known: only when they never will be, something is wrong.
    "start-apiextensions-controllers": parts.customKinds,
    "crd-informer-synced": parts.customKinds,
    "bootstrap-controller": started,
    "rbac/bootstrap-roles": started,
    "scheduling/bootstrap-system-priority-classes": started,
    "start-system-namespaces-controller": started,
    "start-service-ip-repair-controllers": started,
    // What keeps these has begun. A write of theirs that fails is tried again, and no reason to end the server.
    "start-cluster-authentication-info-controller": started,
    "start-kube-aggregator-informers": loaded,
    "apiservice-registration-controller": loaded,
    "apiservice-status-available-controller": started,
    "apiservice-openapi-controller": started,
    "kube-apiserver-autoregistration": started,
  };
  return [
    { name: "ping", check: () => undefined },
    // Lines are written by the process that answers.
    { name: "log", check: () => undefined },
    { name: "etcd", check: () => (parts.following() ? undefined : "the store does not tell of changes") },
    ...Object.entries(hooks).map(([name, check]) => ({ name: `poststarthook/${name}`, check })),
    { name: "autoregister-completion", check: started },
    { name: "informer-sync", readyOnly: true, check: loaded },
    { name: "etcd-readiness", readyOnly: true, check: parts.store },
    { name: "shutdown", readyOnly: true, check: () => (parts.leaving() ? "process is shutting down" : undefined) },
  ];
}
