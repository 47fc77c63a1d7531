import type { Clock, Logger, Metrics } from "../../system/index.ts";
import type { RemoteGroups } from "../discovery/index.ts";
import { createServiceResolver, type Egress } from "../egress/index.ts";
import type { ApiRequest, ApiResponse, UserInfo } from "../handler.ts";
import type { Registry } from "../registry/index.ts";
import type { Catalog } from "../resources/index.ts";
import type { Storage } from "../storage/index.ts";
import { createAggregatedServices } from "./api-services.ts";
import { publishAuthentication } from "./authentication-config.ts";
import { keepLocalServices } from "./local-services.ts";
import { askAggregated } from "./proxy.ts";
import { watchServers } from "./watch-servers.ts";

export interface AggregationOptions {
  /** Authority of clients' certificates, PEM. */
  readonly clientCa?: string;
  /** Authority of front proxies' certificates, PEM. */
  readonly frontProxyCa?: string;
  /** Certificate and key of this front proxy, CN `front-proxy-client`. Asked for when the first aggregated server comes. */
  readonly client?: () => Promise<{ cert: string; key: string }>;
}

interface Parts {
  readonly storage: Storage;
  readonly registry: Registry;
  readonly catalog: Catalog;
  readonly egress: Egress;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Work begins after this. */
  readonly after: Promise<unknown>;
}

/** The aggregation layer: groups that other API servers answer for (apiregistration.k8s.io). */
export interface Aggregation {
  /** Who answers a path; undefined: this server itself. */
  find(path: string): ((request: ApiRequest, user: UserInfo) => Promise<ApiResponse>) | undefined;
  readonly groups: RemoteGroups;
  readonly stopped: Promise<void>;
}

export function createAggregation(options: AggregationOptions & Parts): Aggregation {
  const { storage, registry, after, log, signal, clientCa, frontProxyCa, client: makeClient } = options;
  const services = createAggregatedServices(storage);
  const resolve = createServiceResolver(storage);
  let pair: Promise<{ cert: string; key: string }> | undefined;
  const client = async (): Promise<{ cert: string; key: string } | undefined> => {
    pair ??= makeClient?.();
    return pair;
  };
  const servers = watchServers({ ...options, services, client });
  const local = keepLocalServices(options);
  const published = after
    .then(() =>
      clientCa && frontProxyCa && !signal.aborted
        ? publishAuthentication(registry, { clientCa, frontProxyCa })
        : undefined,
    )
    .catch((error: unknown) =>
      log.warn({ error: String(error) }, "the authentication of aggregated servers was not published"),
    );

  return {
    find(path) {
      if (services.all().length === 0) return undefined;
      const [group, version] = groupOf(path);
      const service = version === undefined ? undefined : services.find(group, version);
      return service && ((request, user) => askAggregated({ resolve, client }, service, request, user));
    },
    groups: servers,
    stopped: Promise.all([servers.stopped, local.stopped, published]).then(() => {}),
  };
}

/** Group and version that a path belongs to; the documents of OpenAPI v3 too. */
function groupOf(path: string): readonly [group: string, version: string | undefined] {
  const parts = path.split("/").filter((part) => part !== "");
  if (parts[0] === "openapi" && parts[1] === "v3") parts.splice(0, 2);
  if (parts[0] === "apis") return [parts[1] ?? "", parts[2]];
  return ["", parts[0] === "api" ? parts[1] : undefined];
}
