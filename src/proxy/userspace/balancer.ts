import type { ServiceEndpoint } from "../../services/index.ts";
import type { Clock } from "../../system/index.ts";

/** Which clients stay with which endpoint of one Service port, by whatever address they come. */
export type Affinity = Map<string, { readonly endpoint: string; readonly until: number }>;

/** Chooses endpoints for the connections to one frontend of a Service port: in turn, or by affinity. */
export interface Balancer {
  /** Endpoints in the order in which they should be tried for this client. */
  order(endpoints: readonly ServiceEndpoint[], client: string, affinitySeconds?: number): ServiceEndpoint[];
  /** The client has reached this endpoint: with affinity it will be tried first from now on. */
  reached(client: string, endpoint: ServiceEndpoint, affinitySeconds?: number): void;
}

/** Clients remembered for affinity by one Service port; beyond that the one remembered longest is forgotten. */
const clients = 65_536;

/**
 * @param affinity what the frontends of a Service port share
 * @param first where the turn begins, so that Services with few connections do not all begin at the same endpoint
 */
export function createBalancer(clock: Clock, affinity: Affinity, first: number): Balancer {
  let turn = first;

  function rememberedFor(client: string): string | undefined {
    const entry = affinity.get(client);
    if (!entry) return undefined;
    if (entry.until > clock.now()) return entry.endpoint;
    affinity.delete(client);
    return undefined;
  }

  function remember(client: string, endpoint: ServiceEndpoint, seconds: number): void {
    affinity.delete(client);
    affinity.set(client, { endpoint: idOf(endpoint), until: clock.now() + seconds * 1000 });
    const [oldest] = affinity.keys();
    if (affinity.size > clients && oldest !== undefined) affinity.delete(oldest);
  }

  return {
    order(endpoints, client, affinitySeconds) {
      if (endpoints.length === 0) return [];
      const start = startOf(endpoints, turn++);
      const inTurn = [...endpoints.slice(start), ...endpoints.slice(0, start)];
      if (affinitySeconds === undefined) return inTurn;
      const preferred = rememberedFor(client);
      if (preferred === undefined) {
        // At once, for other connections of this client may be on their way too.
        if (inTurn[0]) remember(client, inTurn[0], affinitySeconds);
        return inTurn;
      }
      const isPreferred = (endpoint: ServiceEndpoint) => idOf(endpoint) === preferred;
      return [...inTurn.filter(isPreferred), ...inTurn.filter((endpoint) => !isPreferred(endpoint))];
    },
    reached(client, endpoint, affinitySeconds) {
      if (affinitySeconds === undefined) {
        affinity.clear();
        return;
      }
      remember(client, endpoint, affinitySeconds);
    },
  };
}

/** Whose turn it is: in a round each has as many turns as its share is. */
function startOf(endpoints: readonly ServiceEndpoint[], turn: number): number {
  let sum = 0;
  for (const { weight = 1 } of endpoints) sum += weight;
  if (sum === endpoints.length) return turn % sum;
  let left = turn % sum;
  return endpoints.findIndex(({ weight = 1 }) => (left -= weight) < 0);
}

export function idOf({ address, port }: Pick<ServiceEndpoint, "address" | "port">): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
