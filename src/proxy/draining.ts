import type { NodePlan, PortPlan } from "../services/index.ts";
import type { Clock } from "../system/index.ts";
import { placeText, type ServiceConnection } from "./connections.ts";

/** An endpoint that is given no new connections, and those that it still has. */
export interface DrainingEndpoint {
  /** `namespace/name`. */
  readonly service: string;
  /** `address:port`. */
  readonly endpoint: string;
  /** TCP connections left. */
  readonly connections: number;
  /** Seconds since it was taken out. */
  readonly seconds: number;
}

/** Counts down the connections of endpoints that were taken out. Nothing is listed while there is none. */
export interface Draining {
  /** The plan of a Service is another now. */
  update(key: string, plan: NodePlan | undefined): void;
  /** Endpoints with connections left; those without are forgotten. */
  left(): Promise<readonly DrainingEndpoint[]>;
}

/** Endpoints that are watched at once; the one that was taken out first is given up beyond that. */
const most = 4_096;
/** Milliseconds for which an answer is good: several figures are read from one. */
const fresh = 1_000;

/** @param connections lists those that go by this node */
export function createDraining(clock: Clock, connections: () => Promise<readonly ServiceConnection[]>): Draining {
  /** One text a Service, as there may be tens of thousands. */
  const takes = new Map<string, string>();
  const out = new Map<string, { readonly service: string; readonly endpoint: string; readonly since: number }>();
  let last: { readonly at: number; readonly answer: Promise<readonly DrainingEndpoint[]> } | undefined;

  async function look(): Promise<readonly DrainingEndpoint[]> {
    if (out.size === 0) return [];
    const asked = [...out];
    const counts = new Map<string, number>();
    for (const { service, endpoint } of await connections()) {
      const id = `${service} ${endpoint}`;
      counts.set(id, (counts.get(id) ?? 0) + 1);
    }
    return asked.flatMap(([id, one]) => {
      const count = counts.get(id) ?? 0;
      if (count === 0 && out.get(id) === one) out.delete(id);
      const seconds = Math.round((clock.now() - one.since) / 1000);
      return count === 0 ? [] : [{ service: one.service, endpoint: one.endpoint, connections: count, seconds }];
    });
  }

  return {
    update(service, plan) {
      const now = new Set(plan?.ports.flatMap(takesNew) ?? []);
      const text = [...now].join(" ");
      const before = takes.get(service) ?? "";
      if (text === before) return;
      for (const endpoint of before === "" ? [] : before.split(" ")) {
        if (now.has(endpoint)) continue;
        out.set(`${service} ${endpoint}`, { service, endpoint, since: clock.now() });
        last = undefined;
        const [oldest] = out.keys();
        if (out.size > most && oldest !== undefined) out.delete(oldest);
      }
      if (text !== "") takes.set(service, text);
      else takes.delete(service);
      if (out.size > 0) for (const endpoint of now) out.delete(`${service} ${endpoint}`);
    },
    left() {
      if (!last || clock.now() - last.at >= fresh) last = { at: clock.now(), answer: look() };
      return last.answer;
    },
  };
}

/** Endpoints of a TCP port that are not about to go: what is chosen only because nothing else is there counts as going. */
function takesNew({ protocol, cluster, local }: PortPlan): string[] {
  if (protocol !== "TCP") return [];
  return [cluster, local].flatMap(({ endpoints }) =>
    endpoints.filter(({ ready }) => ready).map(({ address, port }) => placeText(address, port)),
  );
}
