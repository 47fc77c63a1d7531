import { createHash } from "node:crypto";
import { bitsOf, formatIp, parseCidr, parseIp, type IpFamily } from "../../kube/index.ts";
import type { Community } from "./community.ts";
import type { BgpNeighbor, BgpRoute } from "./plan.ts";

/** Something does not fit into a speaker's configuration. */
export class BgpConfigError extends Error {
  readonly code = "BGP_CONFIG";
}

/** A session with all its defaults, whose values are what they have to be: a speaker has only to write them down. */
export interface CheckedSession {
  readonly key: string;
  readonly family: IpFamily;
  readonly local: { readonly address: string; readonly as: number };
  readonly peer: { readonly address: string; readonly as: number; readonly port: number };
  readonly multiHop: boolean;
  /** Seconds; 0: sessions never end for silence, and nothing is sent to keep them. */
  readonly hold: number;
  readonly keepalive: number;
  readonly retry: number;
  readonly bfd?: CheckedBfd;
  /** Seconds that the router keeps routes over a restart. Absent: it does not. */
  readonly restart?: number;
  readonly routes: readonly CheckedRoute[];
}

/** Milliseconds; how many packets may be missed; whether the other end begins. */
export interface CheckedBfd {
  readonly receive: number;
  readonly transmit: number;
  readonly multiplier: number;
  readonly passive: boolean;
}

export interface CheckedRoute {
  readonly prefix: string;
  readonly preference: number;
  readonly standard: readonly (readonly [number, number])[];
  readonly large: readonly (readonly [number, number, number])[];
  /** How often the own AS is put before the path, beside the once that every router does. */
  readonly prepends: number;
}

/** Routers of the same AS see a fallback's lower local preference, those of others its longer path: what each looks at first (RFC 4271, 9.1). */
const fallback = { preference: 50, prepends: 3 };
const defaultPreference = 100;
/** Milliseconds. Three of them, and what a router needs to choose another way, are less than 0.3 s. */
const bfdInterval = 90;
const most32 = 4_294_967_295;

/** A speaker's name of a session: the same for a BGPPeer's whole life. */
export function sessionKey(peer: string): string {
  return `b_${createHash("sha256").update(peer).digest("hex").slice(0, 16)}`;
}

/** Throws BgpConfigError, naming the field of the BGPPeer that is wrong. */
export function checkSession(neighbor: BgpNeighbor): CheckedSession {
  const { name, spec, family, source } = neighbor;
  const hold = whole(spec.holdTimeSeconds ?? 90, 0, 65_535, "spec.holdTimeSeconds");
  if (hold === 1 || hold === 2) throw new BgpConfigError("spec.holdTimeSeconds is 0 or at least 3 (RFC 4271, 4.2)");
  const keepalive = spec.keepaliveTimeSeconds ?? Math.max(1, Math.floor(hold / 3));
  const { bfd, gracefulRestart: restart } = spec;
  return {
    key: sessionKey(name),
    family,
    local: { address: addressOf(source, family), as: whole(spec.localASN, 1, most32, "spec.localASN") },
    peer: {
      address: addressOf(spec.peerAddress, family),
      as: whole(spec.peerASN, 1, most32, "spec.peerASN"),
      port: whole(spec.peerPort ?? 179, 1, 65_535, "spec.peerPort"),
    },
    multiHop: spec.multiHop ?? false,
    hold,
    keepalive: hold === 0 ? 0 : whole(keepalive, 1, 21_845, "spec.keepaliveTimeSeconds"),
    retry: whole(spec.connectRetrySeconds ?? 5, 1, 65_535, "spec.connectRetrySeconds"),
    ...(bfd
      ? {
          bfd: {
            receive: whole(bfd.receiveIntervalMs ?? bfdInterval, 10, 60_000, "spec.bfd.receiveIntervalMs"),
            transmit: whole(bfd.transmitIntervalMs ?? bfdInterval, 10, 60_000, "spec.bfd.transmitIntervalMs"),
            multiplier: whole(bfd.multiplier ?? 3, 1, 255, "spec.bfd.multiplier"),
            passive: bfd.passive ?? false,
          },
        }
      : {}),
    ...(restart
      ? { restart: whole(restart.restartTimeSeconds ?? 120, 1, 4_095, "spec.gracefulRestart.restartTimeSeconds") }
      : {}),
    routes: neighbor.routes.map((route) => checkRoute(route, neighbor)),
  };
}

function checkRoute(
  { prefix, communities, localPreference, isFallback }: BgpRoute,
  { family, spec }: BgpNeighbor,
): CheckedRoute {
  const block = parseCidr(prefix);
  if (!block || block.family !== family || block.hostBits) {
    throw new BgpConfigError(`${JSON.stringify(prefix)} is not an ${family} prefix`);
  }
  const length = whole(block.prefix, 0, bitsOf(family), "the prefix");
  const preference = whole(localPreference ?? defaultPreference, 0, most32, "localPreference");
  return {
    prefix: `${formatIp({ family, value: block.base })}/${length}`,
    preference: isFallback ? Math.max(0, preference - fallback.preference) : preference,
    standard: communities.flatMap((one) => {
      const [a, b] = partsOf(one, "standard", 2, 65_535);
      return a === undefined || b === undefined ? [] : [[a, b] as const];
    }),
    large: communities.flatMap((one) => {
      const [a, b, c] = partsOf(one, "large", 3, most32);
      return a === undefined || b === undefined || c === undefined ? [] : [[a, b, c] as const];
    }),
    prepends: isFallback && spec.localASN !== spec.peerASN ? fallback.prepends : 0,
  };
}

/** The numbers of a community of this kind; none of one of the other. */
function partsOf({ kind, parts }: Community, wanted: Community["kind"], count: number, most: number): number[] {
  if (kind !== wanted) return [];
  if (parts.length !== count) throw new BgpConfigError("a community has two parts, a large one three");
  return parts.map((one) => whole(one, 0, most, "a part of a community"));
}

/** The canonical text of an address of this family. Throws BgpConfigError. */
export function addressOf(text: string, family: IpFamily): string {
  const ip = parseIp(text);
  if (!ip || ip.family !== family) throw new BgpConfigError(`${JSON.stringify(text)} is not an ${family} address`);
  return formatIp(ip);
}

function whole(value: number, least: number, most: number, what: string): number {
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new BgpConfigError(`${what} is ${value}, but has to be a whole number from ${least} to ${most}`);
  }
  return value;
}
