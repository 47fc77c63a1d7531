import { isIPv4 } from "node:net";
import type { Atom, Row } from "../../tables/index.ts";
import { serviceChain } from "./names.ts";

/** A rule, and the chain it is in. */
export interface Rule {
  readonly table: "nat" | "filter";
  readonly chain: string;
  readonly rule: string;
  /** It has to come before the constant rules of its chain. */
  readonly first?: boolean;
}

/** A chain with all its rules. */
export interface Chain {
  readonly name: string;
  readonly rules: readonly string[];
}

const mark = "0x4000";

const integer = (atom: Atom | undefined, least: number, most: number): string | undefined =>
  typeof atom === "number" && Number.isInteger(atom) && atom >= least && atom <= most ? String(atom) : undefined;
const address = (atom: Atom | undefined): string | undefined =>
  typeof atom === "string" && isIPv4(atom) ? atom : undefined;
const protocol = (atom: Atom | undefined): string | undefined =>
  atom === "tcp" || atom === "udp" || atom === "sctp" ? atom : undefined;
const port = (atom: Atom | undefined): string | undefined => integer(atom, 1, 65_535);
const chainName = (atom: Atom | undefined): string | undefined =>
  typeof atom === "string" && serviceChain.test(atom) ? atom : undefined;

function range(atom: Atom | undefined): string | undefined {
  const [network, prefix, ...rest] = String(atom).split("/");
  if (rest.length > 0 || !address(network) || !/^(?:[0-9]|[12][0-9]|3[0-2])$/.test(prefix ?? "")) return undefined;
  return `${network}/${prefix}`;
}

const toPort = (kind: string, number: string): string => `-p ${kind} -m ${kind} --dport ${number}`;

/** A row of a shared chain as its rule; undefined when a field is not what its column takes. Nothing else reaches iptables. */
export function ruleOf({ table, key, value }: Row): Rule | undefined {
  const first = key[0];
  switch (table) {
    case "pods": {
      const block = range(first);
      return block === undefined
        ? undefined
        : { table: "nat", chain: "KUBE-MARK-OUTSIDE", rule: `-s ${block} -j RETURN`, first: true };
    }
    case "cidrs": {
      const block = range(first);
      return block === undefined
        ? undefined
        : { table: "filter", chain: "KUBE-UNKNOWN-SERVICES", rule: `-d ${block} -j KUBE-REJECT` };
    }
    case "nodes":
    case "refusing-nodes": {
      const node = address(first);
      if (node === undefined) return undefined;
      return table === "nodes"
        ? { table: "nat", chain: "KUBE-SERVICES", rule: `-d ${node}/32 -j KUBE-NODEPORTS` }
        : { table: "filter", chain: "KUBE-EXTERNAL-SERVICES", rule: `-d ${node}/32 -j KUBE-REFUSED-NODEPORTS` };
    }
    case "nodeports":
    case "refused-nodeports": {
      const [kind, number] = [protocol(first), port(key[1])];
      if (kind === undefined || number === undefined) return undefined;
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
      return addressRule(table, key, value);
  }
}

function addressRule(table: string, key: readonly Atom[], value: readonly Atom[]): Rule | undefined {
  const [to, kind, number] = [address(key[0]), protocol(key[1]), port(key[2])];
  if (to === undefined || kind === undefined || number === undefined) return undefined;
  const match = `-d ${to}/32 ${toPort(kind, number)}`;
  if (table === "services") {
    const chain = chainName(value[0]);
    return chain === undefined ? undefined : { table: "nat", chain: "KUBE-SERVICES", rule: `${match} -j ${chain}` };
  }
  if (table === "guarded") return { table: "filter", chain: "KUBE-PROXY-FIREWALL", rule: `${match} -j DROP` };
  const verdict = verdictOf(value[0]);
  const sources = key[3] === "" ? "" : range(key[3]);
  if (table !== "refused" || verdict === undefined || sources === undefined) return undefined;
  const from = sources === "" ? "" : `-s ${sources} `;
  return { table: "filter", chain: "KUBE-EXTERNAL-SERVICES", rule: `${from}${match} -j ${verdict}` };
}

const verdictOf = (atom: Atom | undefined): string | undefined =>
  atom === "reject" ? "KUBE-REJECT" : atom === "drop" ? "DROP" : undefined;

/** A row of `chains` as the chain in the table nat; undefined when it does not fit. */
export function chainOf({ key, value }: Row): Chain | undefined {
  const name = chainName(key[0]);
  const rules = name === undefined ? undefined : rulesOf(name, value);
  if (name === undefined || !rules || rules.includes(undefined)) return undefined;
  return { name, rules: rules.filter((rule) => rule !== undefined) };
}

function rulesOf(name: string, [kind, ...rest]: readonly Atom[]): (string | undefined)[] | undefined {
  switch (kind) {
    case "pool":
      return poolRules(rest);
    case "endpoint":
      return endpointRules(name, rest);
    case "external": {
      const cluster = chainName(rest[0]);
      return [`-j KUBE-MARK-MASQ`, cluster && `-j ${cluster}`];
    }
    case "external-local": {
      const cluster = chainName(rest[0]);
      const local = rest[1] === "" ? [] : [chainName(rest[1])];
      const pods = rest.slice(2).map(range);
      return [
        ...pods.map((block) => block && cluster && `-s ${block} -j ${cluster}`),
        `-m addrtype --src-type LOCAL -j KUBE-MARK-MASQ`,
        cluster && `-m addrtype --src-type LOCAL -j ${cluster}`,
        ...local.map((chain) => chain && `-j ${chain}`),
      ];
    }
    case "firewall": {
      const chain = chainName(rest[0]);
      return rest.slice(1).map((atom) => {
        const from = range(atom);
        return from === undefined || chain === undefined ? undefined : `-s ${from} -j ${chain}`;
      });
    }
    default:
      return undefined;
  }
}

/** First whom the source is masked for, then whom we know, then the draw: each of n is taken with one in n. */
function poolRules([kind, affinity, count, ...rest]: readonly Atom[]): (string | undefined)[] | undefined {
  const transport = protocol(kind);
  const seconds = integer(affinity, 0, 86_400);
  const entries = integer(count, 0, 64);
  if (transport === undefined || seconds === undefined || entries === undefined) return undefined;
  const rules: (string | undefined)[] = [];
  for (let i = 0; i < Number(entries); i++) {
    const [to, number] = [address(rest[2 * i]), port(rest[2 * i + 1])];
    rules.push(
      to === undefined || number === undefined
        ? undefined
        : `-d ${to}/32 ${toPort(transport, number)} -j KUBE-MARK-OUTSIDE`,
    );
  }
  const members = rest.slice(2 * Number(entries)).map(chainName);
  if (seconds !== "0")
    for (const chain of members)
      rules.push(chain && `-m recent --name ${chain} --rcheck --seconds ${seconds} --reap --rsource -j ${chain}`);
  members.forEach((chain, i) => {
    const left = members.length - i;
    const draw = left > 1 ? `-m statistic --mode random --probability ${(1 / left).toFixed(10)} ` : "";
    rules.push(chain && `${draw}-j ${chain}`);
  });
  return rules;
}

function endpointRules(name: string, [kind, host, number, affinity]: readonly Atom[]): (string | undefined)[] {
  const [transport, to, at] = [protocol(kind), address(host), port(number)];
  const seconds = integer(affinity, 0, 86_400);
  if (transport === undefined || to === undefined || at === undefined || seconds === undefined) return [undefined];
  const remember = seconds === "0" ? "" : `-m recent --name ${name} --set --rsource `;
  return [
    `-s ${to}/32 -j KUBE-MARK-MASQ`,
    `-p ${transport} ${remember}-m ${transport} -j DNAT --to-destination ${to}:${at}`,
  ];
}

/** The program: chains that are the same for every configuration. What users configure is in the chains these lead to. */
export const constant: Readonly<Record<Rule["table"], Readonly<Record<string, readonly string[]>>>> = {
  nat: {
    "KUBE-MARK-MASQ": [`-j MARK --or-mark ${mark}`],
    "KUBE-MARK-OUTSIDE": ["-j KUBE-MARK-MASQ"],
    "KUBE-NODEPORTS": [],
    "KUBE-SERVICES": [],
    "KUBE-POSTROUTING": [
      `-m mark ! --mark ${mark}/${mark} -j RETURN`,
      `-j MARK --xor-mark ${mark}`,
      "-j MASQUERADE --random-fully",
    ],
  },
  filter: {
    "KUBE-REJECT": ["-p tcp -j REJECT --reject-with tcp-reset", "-j REJECT --reject-with icmp-port-unreachable"],
    "KUBE-REFUSED-NODEPORTS": [],
    "KUBE-EXTERNAL-SERVICES": [],
    "KUBE-PROXY-FIREWALL": [],
    "KUBE-UNKNOWN-SERVICES": [],
    "KUBE-FORWARD": [
      `-m mark --mark ${mark}/${mark} -j ACCEPT`,
      "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    ],
  },
};
