import { canonicalIp } from "../../../kube/index.ts";
import type { SpokenSession } from "../speaker.ts";

/** A session as bgpd tells of it. */
export interface FrrSession {
  readonly spoken: SpokenSession;
  /** The neighbour's address, and the family of its routes as commands name it. */
  readonly address: string;
  readonly family: "ipv4" | "ipv6";
  /** Messages with routes that were sent: as long as it is the same, the neighbour was told nothing else. */
  readonly updates: number;
}

type Json = Readonly<Record<string, unknown>>;

const object = (value: unknown): Json => (typeof value === "object" && value !== null ? (value as Json) : {});
const text = (value: unknown): string => (typeof value === "string" ? value : "");
const number = (value: unknown): number => (typeof value === "number" ? value : 0);

/** What bgpd says of a session that has not been up: it was there before its address family was, by a moment. */
const atFirst = "No AFI/SAFI activated for peer";

/** Reads `show bgp vrf all neighbors json`: sessions by `sessionKey`, which is the name of their view. */
export function readNeighbors(answer: unknown): ReadonlyMap<string, FrrSession> {
  const found = new Map<string, FrrSession>();
  for (const [view, value] of Object.entries(object(answer))) {
    if (!/^b_[0-9a-f]{16}$/.test(view)) continue;
    for (const [address, one] of Object.entries(object(value))) {
      if (canonicalIp(address) === undefined) continue;
      const neighbor = object(one);
      const families = object(neighbor["addressFamilyInfo"]);
      const family = address.includes(":") ? "ipv6" : "ipv4";
      const routes = object(families[`${family}Unicast`]);
      const error = [text(neighbor["lastNotificationReason"]), text(neighbor["lastResetDueTo"])].find(
        (said) => said && said !== atFirst,
      );
      found.set(view, {
        address,
        family,
        spoken: {
          state: text(neighbor["bgpState"]) || "Idle",
          ...(error === undefined ? {} : { error }),
          exported: number(routes["sentPrefixCounter"]),
        },
        updates: number(object(neighbor["messageStats"])["updatesSent"]),
      });
    }
  }
  return found;
}

/** Reads `show bgp ... advertised-routes json`: the prefixes, in order. */
export function readAdvertised(answer: unknown): string[] {
  return Object.keys(object(object(answer)["advertisedRoutes"])).sort();
}

/** Reads `show bfd peers json`: whether the way to a neighbour is up, by its address. */
export function readBfdPeers(answer: unknown): ReadonlyMap<string, "Up" | "Down"> {
  const found = new Map<string, "Up" | "Down">();
  for (const one of Array.isArray(answer) ? (answer as unknown[]) : []) {
    const address = canonicalIp(text(object(one)["peer"]));
    if (address !== undefined) found.set(address, object(one)["status"] === "up" ? "Up" : "Down");
  }
  return found;
}
