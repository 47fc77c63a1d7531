import { resources, type APIService } from "../../kube/index.ts";
import type { EgressTarget } from "../egress/index.ts";
import { prefixFor, type Storage } from "../storage/index.ts";

const kind = resources.APIService;

/** A group and version that another API server serves, behind a Service. */
export interface Aggregated {
  readonly name: string;
  readonly group: string;
  readonly version: string;
  readonly service: { readonly namespace: string; readonly name: string; readonly port: number };
  /** Authority of its certificate, PEM. Absent: those of the system, or none when `insecure`. */
  readonly ca?: string;
  readonly insecure: boolean;
  /** As its condition says. */
  readonly available: boolean;
  /** Changes with what says how it is reached. */
  readonly generation: string;
  readonly groupPriority: number;
  readonly versionPriority: number;
}

/** The APIServices that lead to other servers, read again when one has changed. */
export interface AggregatedServices {
  all(): readonly Aggregated[];
  find(group: string, version: string): Aggregated | undefined;
}

export function createAggregatedServices(storage: Storage): AggregatedServices {
  const cache = storage.of(kind);
  let madeOf = -1;
  let all: readonly Aggregated[] = [];
  let byName = new Map<string, Aggregated>();
  const refresh = (): void => {
    if (cache.changed === madeOf) return;
    madeOf = cache.changed;
    all = cache.under(prefixFor(kind)).flatMap((entry) => aggregatedOf(entry.object as APIService) ?? []);
    byName = new Map(all.map((one) => [`${one.group}/${one.version}`, one]));
  };
  return {
    all() {
      refresh();
      return all;
    },
    find(group, version) {
      refresh();
      return byName.size === 0 ? undefined : byName.get(`${group}/${version}`);
    },
  };
}

function aggregatedOf({ metadata, spec, status }: APIService): Aggregated | undefined {
  const { service, group = "", version = "", caBundle, insecureSkipTLSVerify = false } = spec;
  if (!service) return undefined;
  const { namespace = "", name = "", port = 443 } = service;
  return {
    name: metadata.name,
    group,
    version,
    service: { namespace, name, port },
    ...(caBundle ? { ca: Buffer.from(caBundle, "base64").toString() } : {}),
    insecure: insecureSkipTLSVerify,
    available: status?.conditions?.some((one) => one.type === "Available" && one.status === "True") ?? false,
    generation: JSON.stringify([metadata.uid, spec]),
    groupPriority: spec.groupPriorityMinimum,
    versionPriority: spec.versionPriority,
  };
}

/** How its server is reached and known. */
export function targetOf(service: Aggregated, client?: { cert: string; key: string }): EgressTarget {
  return {
    to: service.service,
    insecure: service.insecure,
    ...(service.ca === undefined ? {} : { ca: service.ca }),
    ...(client ? { client } : {}),
  };
}
