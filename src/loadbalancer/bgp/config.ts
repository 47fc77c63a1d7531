import { createHash } from "node:crypto";
import { bitsOf, formatIp, parseCidr, parseIp, type IpFamily } from "../../kube/index.ts";
import type { Community } from "./community.ts";
import type { BgpNeighbor, BgpRoute } from "./plan.ts";

/** Something does not fit into BIRD's configuration. */
export class BgpConfigError extends Error {
  readonly code = "BGP_CONFIG";
}

/** Routers of the same AS see a fallback's lower local preference, those of others its longer path: what each looks at first (RFC 4271, 9.1). */
const fallback = { preference: 50, prepends: 3 };
const defaultPreference = 100;

/** BIRD's name of the protocol of a session: the same for a BGPPeer's whole life, as a session lives as long as its protocol. */
export function protocolName(peer: string): string {
  return `b_${createHash("sha256").update(peer).digest("hex").slice(0, 16)}`;
}

/** The files of BIRD's configuration, by name. The first is constant but for the router id; routes are the only thing that changes often. */
export function birdConfig(
  routerId: string,
  neighbors: readonly BgpNeighbor[],
  passwordOf: (neighbor: BgpNeighbor) => string | undefined,
): ReadonlyMap<string, string> {
  const files = new Map([
    [
      "bird.conf",
      [
        "log stderr { info, warning, error, fatal, bug, auth };",
        `router id ${addressOf(routerId, "IPv4")};`,
        "timeformat protocol iso long ms;",
        "graceful restart wait 30;",
        "protocol device { }",
        "protocol bfd { }",
        'include "peers.conf";',
        "",
      ].join("\n"),
    ],
    ["peers.conf", neighbors.flatMap((one) => [...peerLines(one, passwordOf(one)), ""]).join("\n")],
  ]);
  for (const neighbor of neighbors) {
    const lines = neighbor.routes.map((one) => `${routeLine(one, neighbor)}\n`);
    files.set(`routes-${protocolName(neighbor.name)}.conf`, lines.join(""));
  }
  return files;
}

function peerLines({ name, spec, family, source }: BgpNeighbor, password: string | undefined): string[] {
  const protocol = protocolName(name);
  const channel = family === "IPv4" ? "ipv4" : "ipv6";
  const hold = spec.holdTimeSeconds ?? 90;
  if (hold === 1 || hold === 2) throw wrong("spec.holdTimeSeconds is 0 or at least 3 (RFC 4271, 4.2)");
  const keepalive = spec.keepaliveTimeSeconds ?? Math.max(1, Math.floor(hold / 3));
  const { bfd, gracefulRestart } = spec;
  return [
    `${channel} table t_${protocol};`,
    `protocol static s_${protocol} {`,
    `  ${channel} { table t_${protocol}; import all; };`,
    `  include "routes-${protocol}.conf";`,
    "}",
    `protocol bgp ${protocol} {`,
    `  local ${addressOf(source, family)} as ${whole(spec.localASN, 1, 4_294_967_295, "spec.localASN")};`,
    `  neighbor ${addressOf(spec.peerAddress, family)} port ${whole(spec.peerPort ?? 179, 1, 65_535, "spec.peerPort")}` +
      ` as ${whole(spec.peerASN, 1, 4_294_967_295, "spec.peerASN")};`,
    "  strict bind on;",
    spec.multiHop ? "  multihop;" : "  direct;",
    `  hold time ${whole(hold, 0, 65_535, "spec.holdTimeSeconds")};`,
    ...(hold === 0 ? [] : [`  keepalive time ${whole(keepalive, 1, 21_845, "spec.keepaliveTimeSeconds")};`]),
    `  connect retry time ${whole(spec.connectRetrySeconds ?? 5, 1, 65_535, "spec.connectRetrySeconds")};`,
    "  connect delay time 1;",
    "  error wait time 1, 10;",
    "  error forget time 60;",
    ...(password === undefined ? [] : [`  password ${quoted(password)};`]),
    ...(bfd ? bfdLines(bfd) : []),
    ...(gracefulRestart
      ? [
          "  graceful restart on;",
          `  graceful restart time ${whole(gracefulRestart.restartTimeSeconds ?? 120, 1, 4_095, "spec.gracefulRestart.restartTimeSeconds")};`,
        ]
      : ["  graceful restart aware;"]),
    `  ${channel} { table t_${protocol}; import none; export all; next hop self; };`,
    "}",
  ];
}

function bfdLines(bfd: NonNullable<BgpNeighbor["spec"]["bfd"]>): string[] {
  const receive = whole(bfd.receiveIntervalMs ?? 100, 10, 60_000, "spec.bfd.receiveIntervalMs");
  const transmit = whole(bfd.transmitIntervalMs ?? 100, 10, 60_000, "spec.bfd.transmitIntervalMs");
  return [
    "  bfd {",
    `    min rx interval ${receive} ms;`,
    `    min tx interval ${transmit} ms;`,
    // A session that is down, as at a restart, is found to be up as quickly as one that is up is found to be down.
    `    idle tx interval ${Math.max(transmit, 100)} ms;`,
    `    multiplier ${whole(bfd.multiplier ?? 3, 1, 255, "spec.bfd.multiplier")};`,
    `    passive ${bfd.passive ? "on" : "off"};`,
    "  };",
  ];
}

function routeLine(
  { prefix, communities, localPreference, isFallback }: BgpRoute,
  { family, spec }: BgpNeighbor,
): string {
  const block = parseCidr(prefix);
  if (!block || block.family !== family || block.hostBits) {
    throw wrong(`${JSON.stringify(prefix)} is not an ${family} prefix`);
  }
  const preference = whole(localPreference ?? defaultPreference, 0, 4_294_967_295, "localPreference");
  const attributes = [
    `bgp_local_pref = ${isFallback ? Math.max(0, preference - fallback.preference) : preference};`,
    ...communities.map(communityText),
    ...(isFallback && spec.localASN !== spec.peerASN ? lengthen(spec.localASN) : []),
  ];
  const at = `${formatIp({ family, value: block.base })}/${whole(block.prefix, 0, bitsOf(family), "the prefix")}`;
  return `route ${at} blackhole { ${attributes.join(" ")} };`;
}

const lengthen = (asn: number): string[] =>
  Array.from(
    { length: fallback.prepends },
    () => `bgp_path.prepend(${whole(asn, 1, 4_294_967_295, "spec.localASN")});`,
  );

function communityText({ kind, parts }: Community): string {
  const isLarge = kind === "large";
  if (parts.length !== (isLarge ? 3 : 2)) throw wrong("a community has two parts, a large one three");
  const numbers = parts.map((one) => whole(one, 0, isLarge ? 4_294_967_295 : 65_535, "a part of a community"));
  return `bgp_${isLarge ? "large_" : ""}community.add((${numbers.join(", ")}));`;
}

function addressOf(text: string, family: IpFamily): string {
  const ip = parseIp(text);
  if (!ip || ip.family !== family) throw wrong(`${JSON.stringify(text)} is not an ${family} address`);
  return formatIp(ip);
}

/** BIRD's texts have no way to write a quotation mark; keys of RFC 2385 have at most 80 bytes. */
function quoted(text: string): string {
  if (!/^[\x20\x21\x23-\x7e]{1,80}$/.test(text)) {
    throw wrong("the password has to have 1 to 80 printable characters of ASCII, without quotation marks");
  }
  return `"${text}"`;
}

function whole(value: number, least: number, most: number, what: string): number {
  if (!Number.isInteger(value) || value < least || value > most) {
    throw wrong(`${what} is ${value}, but has to be a whole number from ${least} to ${most}`);
  }
  return value;
}

const wrong = (message: string) => new BgpConfigError(message);
