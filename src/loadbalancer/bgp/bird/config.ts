import {
  addressOf,
  BgpConfigError,
  checkSession,
  type CheckedBfd,
  type CheckedRoute,
  type CheckedSession,
} from "../session.ts";
import type { SpeakerDesired } from "../speaker.ts";

/** The files of BIRD's configuration, by name. The first is constant but for the router id; routes are the only thing that changes often. */
export function birdConfig({ routerId, neighbors, passwordOf }: SpeakerDesired): ReadonlyMap<string, string> {
  const sessions = neighbors.map((one) => ({ ...checkSession(one), password: passwordOf(one) }));
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
    ["peers.conf", sessions.flatMap((one) => [...sessionLines(one), ""]).join("\n")],
  ]);
  for (const session of sessions) {
    files.set(`routes-${session.key}.conf`, session.routes.map((one) => `${routeLine(one, session)}\n`).join(""));
  }
  return files;
}

function sessionLines(session: CheckedSession & { readonly password: string | undefined }): string[] {
  const { key, local, peer, hold, bfd, restart, password } = session;
  const channel = session.family === "IPv4" ? "ipv4" : "ipv6";
  return [
    `${channel} table t_${key};`,
    `protocol static s_${key} {`,
    `  ${channel} { table t_${key}; import all; };`,
    `  include "routes-${key}.conf";`,
    "}",
    `protocol bgp ${key} {`,
    `  local ${local.address} as ${local.as};`,
    `  neighbor ${peer.address} port ${peer.port} as ${peer.as};`,
    "  strict bind on;",
    session.multiHop ? "  multihop;" : "  direct;",
    `  hold time ${hold};`,
    ...(hold === 0 ? [] : [`  keepalive time ${session.keepalive};`]),
    `  connect retry time ${session.retry};`,
    "  connect delay time 1;",
    "  error wait time 1, 10;",
    "  error forget time 60;",
    ...(password === undefined ? [] : [`  password ${quoted(password)};`]),
    ...(bfd ? bfdLines(bfd) : []),
    ...(restart === undefined
      ? ["  graceful restart aware;"]
      : ["  graceful restart on;", `  graceful restart time ${restart};`]),
    `  ${channel} { table t_${key}; import none; export all; next hop self; };`,
    "}",
  ];
}

function bfdLines({ receive, transmit, multiplier, passive }: CheckedBfd): string[] {
  return [
    "  bfd {",
    `    min rx interval ${receive} ms;`,
    `    min tx interval ${transmit} ms;`,
    // A session that is down, as at a restart, is found to be up as quickly as one that is up is found to be down.
    `    idle tx interval ${Math.max(transmit, 100)} ms;`,
    `    multiplier ${multiplier};`,
    `    passive ${passive ? "on" : "off"};`,
    "  };",
  ];
}

function routeLine({ prefix, preference, standard, large, prepends }: CheckedRoute, { local }: CheckedSession): string {
  const attributes = [
    `bgp_local_pref = ${preference};`,
    ...standard.map((parts) => `bgp_community.add((${parts.join(", ")}));`),
    ...large.map((parts) => `bgp_large_community.add((${parts.join(", ")}));`),
    ...Array.from({ length: prepends }, () => `bgp_path.prepend(${local.as});`),
  ];
  return `route ${prefix} blackhole { ${attributes.join(" ")} };`;
}

/** BIRD's texts have no way to write a quotation mark; keys of RFC 2385 have at most 80 bytes. */
function quoted(text: string): string {
  if (!/^[\x20\x21\x23-\x7e]{1,80}$/.test(text)) {
    throw new BgpConfigError("the password has to have 1 to 80 printable characters of ASCII, without quotation marks");
  }
  return `"${text}"`;
}
