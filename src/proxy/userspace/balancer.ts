import type { ServiceEndpoint } from "../../services/index.ts";
import type { Clock } from "../../system/index.ts";

/** Chooses endpoints for the connections of one Service port: in turn, or by affinity. */
export interface Balancer {
  /** Endpoints in the order in which they should be tried for this client. */
  order(endpoints: readonly ServiceEndpoint[], client: string, affinitySeconds?: number): ServiceEndpoint[];
  /** The client has reached this endpoint: with affinity it will be tried first from now on. */
  reached(client: string, endpoint: ServiceEndpoint, affinitySeconds?: number): void;
}

/** Clients remembered for affinity by one Service port; beyond that the one remembered longest is forgotten. */
const clients = 65_536;

/** @param first where the turn begins, so that Services with few connections do not all begin at the same endpoint */
export function createBalancer(clock: Clock, first: number): Balancer {
  let turn = first;
  const affinity = new Map<string, { readonly endpoint: string; readonly until: number }>();

  function rememberedFor(client: string): string | undefined {
    const entry = affinity.get(client);
    if (!entry) return undefined;
    if (entry.until > clock.now()) return entry.endpoint;
    affinity.delete(client);
    return undefined;
  }

  return {
    order(endpoints, client, affinitySeconds) {
      if (endpoints.length === 0) return [];
      const start = turn++ % endpoints.length;
      const inTurn = [...endpoints.slice(start), ...endpoints.slice(0, start)];
      const preferred = affinitySeconds === undefined ? undefined : rememberedFor(client);
      if (preferred === undefined) return inTurn;
      const isPreferred = (endpoint: ServiceEndpoint) => idOf(endpoint) === preferred;
      return [...inTurn.filter(isPreferred), ...inTurn.filter((endpoint) => !isPreferred(endpoint))];
    },
    reached(client, endpoint, affinitySeconds) {
      if (affinitySeconds === undefined) {
        affinity.clear();
        return;
      }
      affinity.delete(client);
      affinity.set(client, { endpoint: idOf(endpoint), until: clock.now() + affinitySeconds * 1000 });
      const [oldest] = affinity.keys();
      if (affinity.size > clients && oldest !== undefined) affinity.delete(oldest);
    },
  };
}

export function idOf({ address, port }: Pick<ServiceEndpoint, "address" | "port">): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
