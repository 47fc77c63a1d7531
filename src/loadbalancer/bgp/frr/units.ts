import { createHash } from "node:crypto";
import { addressOf, BgpConfigError, checkSession, type CheckedBfd, type CheckedRoute } from "../session.ts";
import type { SpeakerDesired } from "../speaker.ts";

/** Something that is there or not, whatever else is: what FRR's configuration is made of, and changed by. */
export interface FrrUnit {
  /** Tells it from all others. */
  readonly key: string;
  readonly daemon: FrrDaemon;
  /** The session that it is a part of, and goes with. */
  readonly of?: string;
  /** Commands of the mode `configure` that make it. To say them again changes nothing. */
  readonly set: readonly string[];
  readonly unset: readonly string[];
}

export type FrrDaemon = "bfdd" | "bgpd";

/**
 * What FRR is to do, in the order in which it can be said. Each session is a view, an instance of BGP with a table and an AS of its own that tells
 * zebra nothing. Attributes of routes and settings of BFD are named after what they are, so that they never change: they come and go.
 */
export function frrUnits({ routerId, neighbors, passwordOf }: SpeakerDesired): FrrUnit[] {
  const profiles = new Map<string, FrrUnit>();
  const attributes = new Map<string, FrrUnit>();
  const sessions: FrrUnit[] = [];
  const routes: FrrUnit[] = [];
  for (const neighbor of neighbors) {
    const session = checkSession(neighbor);
    const { key, local, peer, bfd, restart, hold } = session;
    const channel = session.family === "IPv4" ? "ipv4 unicast" : "ipv6 unicast";
    const view = `router bgp ${local.as} view ${key}`;
    const password = passwordOf(neighbor);
    const profile = bfd && profileUnit(bfd);
    if (profile) profiles.set(profile.key, profile);
    const say = (setting: string) => ` neighbor ${peer.address} ${setting}`;
    sessions.push({
      key: `session ${key}`,
      daemon: "bgpd",
      set: [
        view,
        ` bgp router-id ${addressOf(routerId, "IPv4")}`,
        " bgp log-neighbor-changes",
        " no bgp default ipv4-unicast",
        // What is told is what is told to tell: neither a policy nor a route of the node's is asked for.
        " no bgp ebgp-requires-policy",
        " no bgp network import-check",
        ...(restart === undefined
          ? []
          : [
              " bgp graceful-restart",
              " bgp graceful-restart preserve-fw-state",
              ` bgp graceful-restart restart-time ${restart}`,
            ]),
        say(`remote-as ${peer.as}`),
        say(`update-source ${local.address}`),
        say(`port ${peer.port}`),
        say(`timers ${session.keepalive} ${hold}`),
        say(`timers connect ${session.retry}`),
        say("advertisement-interval 0"),
        ...(session.multiHop && local.as !== peer.as ? [say("ebgp-multihop 64")] : []),
        ...(password === undefined ? [] : [say(`password ${passwordText(password)}`)]),
        ...(profile ? [say("bfd"), say(`bfd profile ${profile.name}`)] : []),
        ` address-family ${channel}`,
        `  neighbor ${peer.address} activate`,
        `  neighbor ${peer.address} next-hop-self`,
        `  neighbor ${peer.address} route-map nothing in`,
        `  neighbor ${peer.address} route-map told out`,
        " exit-address-family",
        "exit",
      ],
      // Without a word of farewell, a router that knows of graceful restarts would keep its routes. A view may be hidden in place of deleted
      // (FRR 10), and begin again with the neighbour as it was left.
      unset: [view, say("shutdown"), ` no neighbor ${peer.address}`, "exit", `no ${view}`],
    });
    for (const route of session.routes) {
      const marks = attributesUnit(route, local.as);
      attributes.set(marks.key, marks);
      const within = (command: string) => [
        view,
        ` address-family ${channel}`,
        `  ${command}`,
        " exit-address-family",
        "exit",
      ];
      routes.push({
        key: `route ${key} ${route.prefix}`,
        daemon: "bgpd",
        of: `session ${key}`,
        set: within(`network ${route.prefix} route-map ${marks.name}`),
        unset: within(`no network ${route.prefix}`),
      });
    }
  }
  return [...profiles.values(), nothing, told, ...attributes.values(), ...sessions, ...routes];
}

/** Routes of others are not taken. */
const nothing: FrrUnit = {
  key: "nothing",
  daemon: "bgpd",
  set: ["route-map nothing deny 10", "exit"],
  unset: ["no route-map nothing"],
};

/**
 * Communities that keep a route from being told. bgpd heeds them in its own routes too, but they are for the router (RFC 1997): a route has a tag
 * for them, a bit each, and is marked when it is told.
 */
const kept = [0xff01, 0xff02, 0xff03].map((low) => [0xffff, low] as const);
const isKept = ([high, low]: readonly [number, number]) => kept.some((one) => one[0] === high && one[1] === low);
const tagOf = (standard: readonly (readonly [number, number])[]): number =>
  kept.reduce(
    (sum, [high, low], i) => sum + (standard.some((one) => one[0] === high && one[1] === low) ? 1 << i : 0),
    0,
  );

const told: FrrUnit = {
  key: "told",
  daemon: "bgpd",
  set: [
    ...Array.from({ length: (1 << kept.length) - 1 }, (_, i) => i + 1).flatMap((tag) => [
      `route-map told permit ${tag}`,
      ` match tag ${tag}`,
      ` set community ${kept.flatMap((one, i) => (tag & (1 << i) ? one.join(":") : [])).join(" ")} additive`,
      "exit",
    ]),
    "route-map told permit 100",
    "exit",
  ],
  unset: ["no route-map told"],
};

function profileUnit({ receive, transmit, multiplier, passive }: CheckedBfd): FrrUnit & { readonly name: string } {
  const settings = [
    `  receive-interval ${receive}`,
    `  transmit-interval ${transmit}`,
    `  detect-multiplier ${multiplier}`,
    ...(passive ? ["  passive-mode"] : []),
  ];
  const name = named("f", settings);
  return {
    key: `profile ${name}`,
    name,
    daemon: "bfdd",
    set: ["bfd", ` profile ${name}`, ...settings, " exit", "exit"],
    unset: ["bfd", ` no profile ${name}`, "exit"],
  };
}

function attributesUnit(route: CheckedRoute, as: number): FrrUnit & { readonly name: string } {
  const listed = (what: string, parts: readonly (readonly number[])[]) =>
    parts.length === 0 ? [] : [` set ${what} ${parts.map((one) => one.join(":")).join(" ")}`];
  const settings = [
    ` set local-preference ${route.preference}`,
    ...listed(
      "community",
      route.standard.filter((one) => !isKept(one)),
    ),
    ...listed("large-community", route.large),
    ...(route.prepends === 0
      ? []
      : [` set as-path prepend ${Array.from({ length: route.prepends }, () => as).join(" ")}`]),
  ];
  const tag = tagOf(route.standard);
  if (tag > 0) settings.push(` set tag ${tag}`);
  const name = named("a", settings);
  return {
    key: `attributes ${name}`,
    name,
    daemon: "bgpd",
    set: [`route-map ${name} permit 10`, ...settings, "exit"],
    unset: [`no route-map ${name}`],
  };
}

const named = (kind: string, settings: readonly string[]): string =>
  `${kind}_${createHash("sha256").update(settings.join("\n")).digest("hex").slice(0, 16)}`;

/** FRR takes a blank for the end of it, and what follows a `|` for a filter; keys of RFC 2385 have at most 80 bytes. */
function passwordText(text: string): string {
  if (!/^[\x21-\x7b\x7d\x7e]{1,80}$/.test(text)) {
    throw new BgpConfigError(
      "the password has to have 1 to 80 printable characters of ASCII, for FRR without blanks and |",
    );
  }
  return text;
}

/** What a daemon is told in one go. */
export interface FrrChange {
  readonly daemon: FrrDaemon;
  readonly said: readonly FrrCommand[];
}

export interface FrrCommand {
  /** The unit that it is for. */
  readonly key: string;
  readonly text: string;
  /** It takes something away, which need not be there any more. */
  readonly mayFail: boolean;
}

/**
 * What has to be said to get from one configuration to another. Pure. A session that is another is ended and made anew, with its routes; all else is
 * there before what it stands for goes, so that no route is away in between.
 */
export function frrChanges(before: readonly FrrUnit[], after: readonly FrrUnit[]): FrrChange[] {
  const old = new Map(before.map((unit) => [unit.key, unit]));
  const now = new Map(after.map((unit) => [unit.key, unit]));
  const isSame = (unit: FrrUnit | undefined, other: FrrUnit | undefined) =>
    unit?.set.join("\n") === other?.set.join("\n");
  const isSession = ({ key }: FrrUnit) => key.startsWith("session ");
  const ended = before.filter((unit) => isSession(unit) && !isSame(unit, now.get(unit.key)));
  const endedKeys = new Set(ended.map(({ key }) => key));
  const wentAlong = ({ of }: FrrUnit) => of !== undefined && endedKeys.has(of);
  const made = after.filter((unit) => endedKeys.has(unit.key) || wentAlong(unit) || !isSame(unit, old.get(unit.key)));
  const gone = before.filter((unit) => !isSession(unit) && !wentAlong(unit) && !now.has(unit.key)).toReversed();
  const changes: { daemon: FrrDaemon; said: FrrCommand[] }[] = [];
  const say = ({ key, daemon }: FrrUnit, commands: readonly string[], mayFail: boolean) => {
    const last = changes.at(-1);
    const said = last?.daemon === daemon ? last.said : [];
    if (said.length === 0) changes.push({ daemon, said });
    said.push(...commands.map((text) => ({ key, text, mayFail })));
  };
  for (const unit of ended) say(unit, unit.unset, true);
  for (const unit of made) say(unit, unit.set, false);
  for (const unit of gone) say(unit, unit.unset, true);
  return changes;
}
