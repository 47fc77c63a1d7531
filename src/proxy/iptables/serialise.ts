import { isIPv4, isIPv6 } from "node:net";
import type { Family } from "../../services/index.ts";
import type { Atom, Row } from "../../tables/index.ts";
import { logBurst, logGroup, logRate, logSize } from "../packet-log.ts";
import { serviceChain } from "./names.ts";

/** A rule, and the chain it is in. */
export interface Rule {
  readonly family: Family;
  readonly table: "nat" | "filter";
  readonly chain: string;
  readonly rule: string;
  /** It has to come before the constant rules of its chain. */
  readonly first?: boolean;
}

/** A chain with all its rules. */
export interface Chain {
  readonly family: Family;
  readonly name: string;
  readonly rules: readonly string[];
}

const mark = "0x4000";

const integer = (atom: Atom | undefined, least: number, most: number): string | undefined =>
  typeof atom === "number" && Number.isInteger(atom) && atom >= least && atom <= most ? String(atom) : undefined;
const address = (atom: Atom | undefined, family: Family): string | undefined =>
  typeof atom === "string" && (family === "IPv4" ? isIPv4(atom) : isIPv6(atom) && !atom.includes("%"))
    ? atom
    : undefined;
/** A single address as iptables matches it. */
const host = (atom: Atom | undefined, family: Family): string | undefined => {
  const text = address(atom, family);
  return text === undefined ? undefined : `${text}/${family === "IPv4" ? 32 : 128}`;
};
const protocol = (atom: Atom | undefined): string | undefined =>
  atom === "tcp" || atom === "udp" || atom === "sctp" ? atom : undefined;
const port = (atom: Atom | undefined): string | undefined => integer(atom, 1, 65_535);
const chainName = (atom: Atom | undefined): string | undefined =>
  typeof atom === "string" && serviceChain.test(atom) ? atom : undefined;

function range(atom: Atom | undefined, family: Family): string | undefined {
  const [network, prefix = "", ...rest] = String(atom).split("/");
  if (rest.length > 0 || !address(network, family) || !/^(?:0|[1-9][0-9]{0,2})$/.test(prefix)) return undefined;
  return Number(prefix) <= (family === "IPv4" ? 32 : 128) ? `${network}/${prefix}` : undefined;
}

/** Who a client is: a range of addresses, or an interface or the beginning of names and `*` (IFNAMSIZ is 16). */
function source(atom: Atom | undefined, family: Family): string | undefined {
  if (typeof atom === "string" && /^[\w.@-]{1,15}\*?$/.test(atom)) return `-i ${atom.replace("*", "+")}`;
  const block = range(atom, family);
  return block === undefined ? undefined : `-s ${block}`;
}

/** The table without the 6 that those of IPv6 end in. */
function placeOf(table: string): { readonly name: string; readonly family: Family } {
  return table.endsWith("6") ? { name: table.slice(0, -1), family: "IPv6" } : { name: table, family: "IPv4" };
}

/** Whether a row is a whole chain. */
export function isChain({ table }: Row): boolean {
  return placeOf(table).name === "chains";
}

/** Hands the first packets of connections to who tells of them. */
const logRule = `-m limit --limit ${logRate}/second --limit-burst ${logBurst} -j NFLOG --nflog-group ${logGroup} --nflog-size ${logSize}`;

const toPort = (kind: string, number: string): string => `-p ${kind} -m ${kind} --dport ${number}`;

/** A row of a shared chain as its rule; undefined when a field is not what its column takes. Nothing else reaches iptables. */
export function ruleOf(row: Row): Rule | undefined {
  const { name, family } = placeOf(row.table);
  const rule = sharedRule(name, row, family);
  return rule && { ...rule, family };
}

function sharedRule(table: string, { key, value }: Row, family: Family): Omit<Rule, "family"> | undefined {
  const first = key[0];
  switch (table) {
    case "unmasked": {
      const from = source(first, family);
      return from === undefined
        ? undefined
        : { table: "nat", chain: "KUBE-MARK-OUTSIDE", rule: `${from} -j RETURN`, first: true };
    }
    case "cidrs": {
      const block = range(first, family);
      return block === undefined
        ? undefined
        : { table: "filter", chain: "KUBE-UNKNOWN-SERVICES", rule: `-d ${block} -j KUBE-REJECT` };
    }
    case "vips": {
      const vip = host(first, family);
      return vip === undefined
        ? undefined
        : {
            table: "filter",
            chain: "KUBE-UNKNOWN-SERVICES",
            rule: `-d ${vip} -m addrtype ! --dst-type LOCAL -j KUBE-REJECT-PORTS`,
          };
    }
    case "nodes":
    case "refusing-nodes": {
      const nodes = range(first, family);
      if (nodes === undefined) return undefined;
      const match = `-d ${nodes} -m addrtype --dst-type LOCAL`;
      return table === "nodes"
        ? { table: "nat", chain: "KUBE-SERVICES", rule: `${match} -j KUBE-NODEPORTS` }
        : { table: "filter", chain: "KUBE-EXTERNAL-SERVICES", rule: `${match} -j KUBE-REFUSED-NODEPORTS` };
    }
    case "nodeports":
    case "logged-nodeports":
    case "refused-nodeports": {
      const [kind, number] = [protocol(first), port(key[1])];
      if (kind === undefined || number === undefined) return undefined;
      if (table === "logged-nodeports")
        return {
          table: "filter",
          chain: "KUBE-REFUSED-NODEPORTS",
          rule: `${toPort(kind, number)} ${logRule}`,
          first: true,
        };
      if (table === "nodeports") {
        const chain = chainName(value[0]);
        return chain === undefined
          ? undefined
          : { table: "nat", chain: "KUBE-NODEPORTS", rule: `${toPort(kind, number)} -j ${chain}` };
      }
      const verdict = verdictOf(value[0]);
      return verdict === undefined
        ? undefined
        : { table: "filter", chain: "KUBE-REFUSED-NODEPORTS", rule: `${toPort(kind, number)} -j ${verdict}` };
    }
    default:
      return addressRule(table, key, value, family);
  }
}

function addressRule(
  table: string,
  key: readonly Atom[],
  value: readonly Atom[],
  family: Family,
): Omit<Rule, "family"> | undefined {
  const [to, kind, number] = [host(key[0], family), protocol(key[1]), port(key[2])];
  if (to === undefined || kind === undefined || number === undefined) return undefined;
  const match = `-d ${to} ${toPort(kind, number)}`;
  if (table === "services") {
    const chain = chainName(value[0]);
    return chain === undefined ? undefined : { table: "nat", chain: "KUBE-SERVICES", rule: `${match} -j ${chain}` };
  }
  if (table === "logged")
    return { table: "filter", chain: "KUBE-EXTERNAL-SERVICES", rule: `${match} ${logRule}`, first: true };
  if (table === "guarded") return { table: "filter", chain: "KUBE-PROXY-FIREWALL", rule: `${match} -j DROP` };
  const verdict = verdictOf(value[0]);
  const sources = key[3] === "" ? "" : range(key[3], family);
  if (table !== "refused" || verdict === undefined || sources === undefined) return undefined;
  const from = sources === "" ? "" : `-s ${sources} `;
  return { table: "filter", chain: "KUBE-EXTERNAL-SERVICES", rule: `${from}${match} -j ${verdict}` };
}

const verdictOf = (atom: Atom | undefined): string | undefined =>
  atom === "reject" ? "KUBE-REJECT" : atom === "drop" ? "DROP" : undefined;

/** A row of `chains` as the chain in the table nat; undefined when it does not fit. */
export function chainOf({ table, key, value }: Row): Chain | undefined {
  const { family } = placeOf(table);
  const name = chainName(key[0]);
  const rules = name === undefined ? undefined : rulesOf(name, value, family);
  if (name === undefined || !rules || rules.includes(undefined)) return undefined;
  return { family, name, rules: rules.filter((rule) => rule !== undefined) };
}

function rulesOf(name: string, [kind, ...rest]: readonly Atom[], family: Family): (string | undefined)[] | undefined {
  switch (kind) {
    case "pool":
      return poolRules(rest, family);
    case "endpoint":
      return endpointRules(name, rest, family);
    case "external": {
      const cluster = chainName(rest[0]);
      return [`-j KUBE-MARK-MASQ`, cluster && `-j ${cluster}`];
    }
    case "external-local": {
      const cluster = chainName(rest[0]);
      const local = rest[1] === "" ? [] : [chainName(rest[1])];
      const pods = rest.slice(2).map((atom) => source(atom, family));
      return [
        ...pods.map((from) => from && cluster && `${from} -j ${cluster}`),
        `-m addrtype --src-type LOCAL -j KUBE-MARK-MASQ`,
        cluster && `-m addrtype --src-type LOCAL -j ${cluster}`,
        ...local.map((chain) => chain && `-j ${chain}`),
      ];
    }
    case "firewall": {
      const chain = chainName(rest[0]);
      return rest.slice(1).map((atom) => {
        const from = range(atom, family);
        return from === undefined || chain === undefined ? undefined : `-s ${from} -j ${chain}`;
      });
    }
    default:
      return undefined;
  }
}

/** First whom the source is masked for, then whom we know, then the draw: each of n is taken with one in n. */
function poolRules(
  [kind, affinity, count, ...rest]: readonly Atom[],
  family: Family,
): (string | undefined)[] | undefined {
  const transport = protocol(kind);
  const seconds = integer(affinity, 0, 86_400);
  const entries = integer(count, 0, 64);
  if (transport === undefined || seconds === undefined || entries === undefined) return undefined;
  const rules: (string | undefined)[] = [];
  const isLogged = rest.at(-1) === "log";
  if (isLogged) rules.push(logRule);
  for (let i = 0; i < Number(entries); i++) {
    const [to, number] = [host(rest[2 * i], family), port(rest[2 * i + 1])];
    rules.push(
      to === undefined || number === undefined
        ? undefined
        : `-d ${to} ${toPort(transport, number)} -j KUBE-MARK-OUTSIDE`,
    );
  }
  const members: { readonly chain: string | undefined; weight: number }[] = [];
  for (const atom of rest.slice(2 * Number(entries), isLogged ? -1 : undefined)) {
    const last = members.at(-1);
    if (typeof atom === "string") members.push({ chain: chainName(atom), weight: 1 });
    else if (last && integer(atom, 1, 100) !== undefined) last.weight = atom;
    else return [undefined];
  }
  if (seconds !== "0")
    for (const { chain } of members)
      rules.push(chain && `-m recent --name ${chain} --rcheck --seconds ${seconds} --reap --rsource -j ${chain}`);
  let left = members.reduce((sum, { weight }) => sum + weight, 0);
  for (const { chain, weight } of members) {
    const draw = left > weight ? `-m statistic --mode random --probability ${(weight / left).toFixed(10)} ` : "";
    rules.push(chain && `${draw}-j ${chain}`);
    left -= weight;
  }
  return rules;
}

function endpointRules(
  name: string,
  [kind, target, number, affinity]: readonly Atom[],
  family: Family,
): (string | undefined)[] {
  const [transport, to, at] = [protocol(kind), address(target, family), port(number)];
  const seconds = integer(affinity, 0, 86_400);
  if (transport === undefined || to === undefined || at === undefined || seconds === undefined) return [undefined];
  const remember = seconds === "0" ? "" : `-m recent --name ${name} --set --rsource `;
  return [
    `-s ${to}/${family === "IPv4" ? 32 : 128} -j KUBE-MARK-MASQ`,
    `-p ${transport} ${remember}-m ${transport} -j DNAT --to-destination ${family === "IPv4" ? to : `[${to}]`}:${at}`,
  ];
}

/** The program: chains that are the same for every configuration. What users configure is in the chains these lead to. */
export function constant(family: Family): Readonly<Record<Rule["table"], Readonly<Record<string, readonly string[]>>>> {
  const unreachable = `-j REJECT --reject-with ${family === "IPv4" ? "icmp-port-unreachable" : "icmp6-port-unreachable"}`;
  // What comes to localhost is led to no other machine (CVE-2020-8558): user space serves it.
  const notLocalhost = `-d ${family === "IPv4" ? "127.0.0.0/8" : "::1/128"} -j RETURN`;
  return {
    nat: {
      "KUBE-MARK-MASQ": [`-j MARK --or-mark ${mark}`],
      "KUBE-MARK-OUTSIDE": ["-j KUBE-MARK-MASQ"],
      "KUBE-NODEPORTS": [notLocalhost],
      "KUBE-SERVICES": [],
      "KUBE-POSTROUTING": [
        `-m mark ! --mark ${mark}/${mark} -j RETURN`,
        `-j MARK --xor-mark ${mark}`,
        "-j MASQUERADE --random-fully",
      ],
    },
    filter: {
      "KUBE-REJECT": ["-p tcp -j REJECT --reject-with tcp-reset", unreachable],
      "KUBE-REJECT-PORTS": ["tcp", "udp", "sctp"].map((kind) => `-p ${kind} -j KUBE-REJECT`),
      "KUBE-REFUSED-NODEPORTS": [notLocalhost],
      "KUBE-EXTERNAL-SERVICES": [],
      "KUBE-PROXY-FIREWALL": [],
      "KUBE-UNKNOWN-SERVICES": [],
      "KUBE-FORWARD": [
        `-m mark --mark ${mark}/${mark} -j ACCEPT`,
        "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
      ],
    },
  };
}
