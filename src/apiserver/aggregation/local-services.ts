import { isStatus, resources, semanticEqual, type APIService } from "../../kube/index.ts";
import type { Clock, Component, Logger } from "../../system/index.ts";
import { ownContext, timestamp, type Registry } from "../registry/index.ts";
import type { Catalog } from "../resources/index.ts";
import { reviews } from "../resources/reviews.ts";
import { builtInKinds } from "../resources/served.ts";
import { prefixFor, type Storage } from "../storage/index.ts";

export interface LocalServicesOptions {
  readonly storage: Storage;
  readonly registry: Registry;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly after: Promise<unknown>;
}

const kind = resources.APIService;
const managed = "kube-aggregator.kubernetes.io/automanaged";
/** Milliseconds between two looks. */
const look = 1_000;

/** Priorities of Kubernetes' own groups, as upstream has them: of the group and of its versions. */
const priorities: Readonly<Record<string, readonly [group: number, version: number]>> = {
  "v1.": [18_000, 1],
  "v1.apps": [17_800, 15],
  "v1.events.k8s.io": [17_750, 15],
  "v1.authentication.k8s.io": [17_700, 15],
  "v1.authorization.k8s.io": [17_600, 15],
  "v1.autoscaling": [17_500, 15],
  "v2.autoscaling": [17_500, 30],
  "v1.batch": [17_400, 15],
  "v1.certificates.k8s.io": [17_300, 15],
  "v1.networking.k8s.io": [17_200, 15],
  "v1.policy": [17_100, 15],
  "v1.rbac.authorization.k8s.io": [17_000, 15],
  "v1.storage.k8s.io": [16_800, 15],
  "v1.admissionregistration.k8s.io": [16_700, 15],
  "v1.apiextensions.k8s.io": [16_700, 15],
  "v1.scheduling.k8s.io": [16_600, 15],
  "v1.coordination.k8s.io": [16_500, 15],
  "v1.node.k8s.io": [16_300, 15],
  "v1.discovery.k8s.io": [16_200, 15],
  "v1.flowcontrol.apiserver.k8s.io": [16_100, 21],
  "v1.resource.k8s.io": [15_200, 15],
};

/** Keeps an APIService for every group and version that this server answers itself, but for that of APIServices. */
export function keepLocalServices(options: LocalServicesOptions): Component {
  const { storage, registry, catalog, clock, log, signal, after } = options;
  const own = new Set([...builtInKinds(), ...reviews].map(({ resource }) => nameOf(resource)));
  const context = { ...ownContext(kind, ""), admitted: true };

  const wanted = (): Map<string, APIService> => {
    const all = new Map<string, APIService>();
    for (const { resource } of [...catalog.all(), ...reviews]) {
      const name = nameOf(resource);
      if (resource.group === kind.group || all.has(name)) continue;
      all.set(name, localService(resource.group, resource.version, own.has(name)));
    }
    return all;
  };

  const round = async (): Promise<void> => {
    const there = new Map(
      storage
        .of(kind)
        .under(prefixFor(kind))
        .map((entry): [string, APIService] => [entry.object.metadata.name, entry.object as APIService]),
    );
    const here = wanted();
    const writes: Promise<unknown>[] = [];
    for (const [name, service] of here) {
      const found = there.get(name);
      if (!found)
        writes.push(
          registry
            .create(context, structuredClone(service))
            .then(() => tell(name))
            .catch(unless("AlreadyExists")),
        );
      // Whoever has taken a group over to another server is left alone.
      else if (!found.spec.service && found.status?.conditions?.[0]?.reason !== "Local") writes.push(tell(name));
      else if (found.metadata.labels?.[managed] && !semanticEqual(found.spec, service.spec))
        writes.push(
          registry.update(context, name, (current) => ({ ...current, spec: service.spec }) as APIService, {
            retry: true,
          }),
        );
    }
    for (const [name, { metadata, spec }] of there)
      if (metadata.labels?.[managed] && !spec.service && !here.has(name))
        writes.push(registry.remove(context, name, {}).catch(unless("NotFound")));
    await Promise.all(writes);
  };

  const tell = async (name: string): Promise<void> => {
    const condition = {
      type: "Available",
      status: "True",
      reason: "Local",
      message: "Local APIServices are always available",
      lastTransitionTime: timestamp(clock.now()),
    };
    await registry.update(
      { ...context, subresource: "status" },
      name,
      (current) => ({ ...current, status: { conditions: [condition] } }) as APIService,
      { retry: true },
    );
  };

  const run = async (): Promise<void> => {
    await after;
    let seen = "";
    while (!signal.aborted) {
      const now = `${catalog.version} ${storage.of(kind).changed}`;
      if (now !== seen) {
        seen = now;
        await round().catch((error: unknown) => {
          seen = "";
          log.warn({ error: String(error) }, "the APIServices of this server could not be kept");
        });
      }
      await clock.sleep(look, signal);
    }
  };
  return { name: "local-api-services", ready: Promise.resolve(), stopped: run().catch(() => {}) };
}

const nameOf = ({ group, version }: { group: string; version: string }): string => `${version}.${group}`;

function localService(group: string, version: string, builtIn: boolean): APIService {
  const name = nameOf({ group, version });
  const [groupPriorityMinimum, versionPriority] = priorities[name] ?? [1000, builtIn ? 15 : 100];
  return {
    apiVersion: "apiregistration.k8s.io/v1",
    kind: "APIService",
    metadata: { name, labels: { [managed]: builtIn ? "onstart" : "true" } },
    spec: { ...(group ? { group } : {}), groupPriorityMinimum, version, versionPriority },
  };
}

function unless(reason: "AlreadyExists" | "NotFound"): (error: unknown) => void {
  return (error) => {
    if (!isStatus(error, reason)) throw error;
  };
}
