import type { ServiceEndpoint } from "../../services/index.ts";
import type { Clock } from "../../system/index.ts";
import { idOf } from "./balancer.ts";
import type { Connection } from "./target.ts";

/** A connection that this process carries to an endpoint. */
export interface Flow {
  readonly client: Connection;
  /** As `idOf` has it. */
  readonly endpoint: string;
  /** Milliseconds since the epoch. */
  readonly since: number;
}

/** What is known of the endpoints of one Service port, by whatever frontend clients come: how many connections each has, and who fails. */
export interface Ledger {
  /** A connection has reached its endpoint; it counts until the function that is given is called. */
  began(client: Connection, endpoint: ServiceEndpoint): () => void;
  /** An endpoint did not take a connection. */
  failed(endpoint: ServiceEndpoint): void;
  /** Those with the fewest connections for their share first; of those that have as many, the order stays. */
  leastFirst(endpoints: readonly ServiceEndpoint[]): ServiceEndpoint[];
  /** Endpoints that keep failing after all others. */
  failingLast(endpoints: readonly ServiceEndpoint[]): readonly ServiceEndpoint[];
  flows(): Iterable<Flow>;
  /** Endpoints that are tried last now. */
  failing(): number;
  /** Forgets the failures of endpoints that are none any more. */
  keep(endpoints: readonly ServiceEndpoint[]): void;
}

/** Failed connects in a row after which an endpoint is tried last. */
const patience = 3;
/** Milliseconds for which it is; twice as long each time it fails again at its return. */
const [firstRest, longestRest] = [5_000, 60_000];

interface Failing {
  failures: number;
  until: number;
  rest: number;
}

export function createLedger(clock: Clock): Ledger {
  const flows = new Set<Flow>();
  const counts = new Map<string, number>();
  const failing = new Map<string, Failing>();
  const rests = (endpoint: ServiceEndpoint): boolean => (failing.get(idOf(endpoint))?.until ?? 0) > clock.now();
  return {
    began(client, endpoint) {
      const id = idOf(endpoint);
      failing.delete(id);
      const flow = { client, endpoint: id, since: clock.now() };
      flows.add(flow);
      counts.set(id, (counts.get(id) ?? 0) + 1);
      return () => {
        if (!flows.delete(flow)) return;
        const left = (counts.get(id) ?? 1) - 1;
        if (left > 0) counts.set(id, left);
        else counts.delete(id);
      };
    },
    failed(endpoint) {
      const id = idOf(endpoint);
      const known = failing.get(id) ?? { failures: 0, until: 0, rest: firstRest };
      failing.set(id, known);
      // Connects that began before it was given up count once.
      if (++known.failures < patience || known.until > clock.now()) return;
      known.until = clock.now() + known.rest;
      known.rest = Math.min(known.rest * 2, longestRest);
    },
    leastFirst(endpoints) {
      const load = new Map(endpoints.map((one) => [one, (counts.get(idOf(one)) ?? 0) / (one.weight ?? 1)]));
      return [...endpoints].sort((a, b) => (load.get(a) ?? 0) - (load.get(b) ?? 0));
    },
    failingLast(endpoints) {
      if (failing.size === 0 || !endpoints.some(rests)) return endpoints;
      return [...endpoints.filter((one) => !rests(one)), ...endpoints.filter(rests)];
    },
    flows: () => flows,
    failing() {
      let count = 0;
      for (const { until } of failing.values()) if (until > clock.now()) count++;
      return count;
    },
    keep(endpoints) {
      if (failing.size === 0) return;
      const ids = new Set(endpoints.map(idOf));
      for (const id of failing.keys()) if (!ids.has(id)) failing.delete(id);
    },
  };
}
