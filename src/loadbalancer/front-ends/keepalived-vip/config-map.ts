import { canonicalIp, isUnspecified, parseIp } from "../../../kube/index.ts";

/** How packets for an address get to the endpoints. */
export type Method = "NAT" | "PROXY";

/** A line of the ConfigMap: one Service behind one address. */
export interface VipTarget {
  readonly namespace: string;
  readonly name: string;
  readonly method: Method;
}

export interface Vip {
  /** In canonical form. */
  readonly address: string;
  /** Key of the ConfigMap's data. */
  readonly key: string;
  /** Empty: the address is held, and nothing is led anywhere. */
  readonly targets: readonly VipTarget[];
}

/** What is wrong with a key of the ConfigMap, and what would put it right. */
export interface VipFault {
  readonly key: string;
  readonly reason: "InvalidAddress" | "InvalidTarget" | "UnsupportedMethod" | "DuplicateAddress";
  readonly message: string;
}

const label = "[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?";
const target = new RegExp(`^(${label})/(${label})(?::([A-Za-z]*))?$`);
/** An AddressPool has no more addresses than that. */
const most = { keys: 256, targets: 64 };

/**
 * Reads keepalived-vip's ConfigMap: addresses to `namespace/service[:NAT|PROXY]`, or to nothing. Beyond what the original takes: IPv6, its
 * colons written `-` or `_` as a key has none; and several targets, apart by a comma or a blank. A key that is wrong harms no other.
 */
export function readVips(data: Readonly<Record<string, string>>): {
  readonly vips: readonly Vip[];
  readonly faults: readonly VipFault[];
} {
  const vips = new Map<string, Vip>();
  const faults: VipFault[] = [];
  for (const [key, value] of Object.entries(data).sort(([a], [b]) => (a < b ? -1 : 1))) {
    const wrong = (reason: VipFault["reason"], message: string) => void faults.push({ key, reason, message });
    if (vips.size >= most.keys) {
      wrong("InvalidAddress", `there are more than ${most.keys} addresses: use a second ConfigMap`);
      continue;
    }
    const address = addressOf(key);
    if (address === undefined) {
      wrong("InvalidAddress", `${quoted(key)} is not an address: write 10.4.0.50, or fd00--10 for fd00::10`);
      continue;
    }
    const before = vips.get(address);
    if (before) {
      wrong(
        "DuplicateAddress",
        `${address} is there already, as ${quoted(before.key)}: join their values with a comma`,
      );
      continue;
    }
    const parts = value.split(/[\s,]+/).filter(Boolean);
    const targets: VipTarget[] = [];
    const fault = parts.length > most.targets ? tooMany : parts.map((part) => readTarget(part, targets)).find(Boolean);
    const mixed = targets.some(({ method }) => method !== targets[0]?.method);
    if (fault) wrong(fault.reason, fault.message);
    else if (mixed) wrong("UnsupportedMethod", `${address} cannot be NAT and PROXY at once: use two addresses`);
    else vips.set(address, { address, key, targets });
  }
  return { vips: [...vips.values()], faults };
}

type TargetFault = Pick<VipFault, "reason" | "message">;

const tooMany: TargetFault = { reason: "InvalidTarget", message: `more than ${most.targets} Services at one address` };

function readTarget(part: string, targets: VipTarget[]): TargetFault | undefined {
  const [, namespace = "", name = "", suffix] = target.exec(part) ?? [];
  if (!namespace)
    return { reason: "InvalidTarget", message: `${quoted(part)} is not NAMESPACE/SERVICE or NAMESPACE/SERVICE:METHOD` };
  if (suffix === "DR")
    return {
      reason: "UnsupportedMethod",
      message:
        "DR (direct return) needs IPVS and pods that have the address themselves: use NAT, or PROXY where pods must know the client",
    };
  if (suffix !== undefined && suffix !== "NAT" && suffix !== "PROXY")
    return { reason: "UnsupportedMethod", message: `${quoted(suffix)} is no method: use NAT or PROXY` };
  if (!targets.some((one) => one.namespace === namespace && one.name === name))
    targets.push({ namespace, name, method: suffix ?? "NAT" });
  return undefined;
}

function addressOf(key: string): string | undefined {
  const text = /^[\d.]+$/.test(key) ? key : key.replaceAll(/[-_]/g, ":");
  const ip = parseIp(text);
  const address = canonicalIp(text);
  if (!ip || address === undefined || isUnspecified(ip)) return undefined;
  return isUsable(address) ? address : undefined;
}

/** Loopback, multicast and link-local addresses are no addresses for a network. */
const isUsable = (address: string): boolean =>
  !/^(?:0\.|127\.|169\.254\.|22[4-9]\.|23\d\.|24\d\.|25[0-5]\.|ff|fe[89ab]|::1$)/i.test(address);

const quoted = (text: string): string => JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}...` : text);
