import {
  bitsOf,
  cidrContains,
  formatIp,
  isLinkLocal,
  isLinkLocalMulticast,
  isLoopback,
  isMapped,
  isUnspecified,
  parseCidr,
  parseIp,
  type Ip,
} from "../../values/ip.ts";
import { addressComparison, traversal } from "../cost.ts";
import { define, type Overload } from "../functions.ts";
import { fail, type OpaqueValue } from "../values.ts";

const ipType = "net.IP";
const cidrType = "net.CIDR";

interface Block {
  /** The address as it was written, bits of hosts too. */
  readonly ip: Ip;
  readonly prefix: number;
}

/** As Go's `netip.ParseAddr`, without zones and without IPv4 in IPv6. */
function readIp(text: string): Ip | string {
  const ip = /[%]/.test(text) ? undefined : parseIp(text);
  if (text.includes("%")) return `IP address ${JSON.stringify(text)} with zone value is not allowed`;
  if (!ip)
    return `IP Address ${JSON.stringify(text)} parse error during conversion from string: ParseAddr(${JSON.stringify(text)}): unable to parse IP`;
  return isMapped(ip) ? `IPv4-mapped IPv6 address ${JSON.stringify(text)} is not allowed` : ip;
}

function readCidr(text: string): Block | string {
  const slash = text.lastIndexOf("/");
  const ip = readIp(text.slice(0, Math.max(slash, 0)));
  const digits = text.slice(slash + 1);
  const cidr = parseCidr(text);
  if (typeof ip !== "string" && cidr && /^(?:0|[1-9]\d{0,2})$/.test(digits) && Number(digits) <= bitsOf(ip.family))
    return { ip, prefix: Number(digits) };
  return slash >= 0 && typeof ip === "string" && !ip.includes("parse error")
    ? ip
    : `network address parse error during conversion from string: netip.ParsePrefix(${JSON.stringify(text)}): no valid prefix`;
}

const ipValue = (ip: Ip): OpaqueValue => ({
  kind: "opaque",
  type: ipType,
  content: ip,
  size: Math.ceil(bitsOf(ip.family) / 8),
  equals: (other) => ipOf(other).family === ip.family && ipOf(other).value === ip.value,
});
const cidrValue = (block: Block): OpaqueValue => ({
  kind: "opaque",
  type: cidrType,
  content: block,
  size: Math.ceil(block.prefix / 8),
  equals: (other) => {
    const { ip, prefix } = blockOf(other);
    return prefix === block.prefix && ip.family === block.ip.family && ip.value === block.ip.value;
  },
});
const ipOf = ({ content }: OpaqueValue): Ip => content as Ip;
const blockOf = ({ content }: OpaqueValue): Block => content as Block;

const parsedIp = (text: string): OpaqueValue => {
  const ip = readIp(text);
  return typeof ip === "string" ? fail(ip) : ipValue(ip);
};
const parsedCidr = (text: string): OpaqueValue => {
  const block = readCidr(text);
  return typeof block === "string" ? fail(block) : cidrValue(block);
};

const masked = ({ ip, prefix }: Block): Block => {
  const hostBits = BigInt(bitsOf(ip.family) - prefix);
  return { ip: { family: ip.family, value: (ip.value >> hostBits) << hostBits }, prefix };
};
const containsIp = (block: Block, ip: Ip): boolean =>
  block.ip.family === ip.family &&
  cidrContains({ family: ip.family, base: masked(block).ip.value, prefix: block.prefix, hostBits: false }, ip);
const containsBlock = (outer: Block, inner: Block): boolean =>
  inner.prefix >= outer.prefix && containsIp(outer, masked(inner).ip);

const isMulticast = ({ family, value }: Ip): boolean =>
  family === "IPv4" ? value >> 28n === 0xen : value >> 120n === 0xffn;
const isLinkLocalUnicast = (ip: Ip): boolean => isLinkLocal(ip) && !isMulticast(ip);
const isGlobalUnicast = (ip: Ip): boolean =>
  !isUnspecified(ip) &&
  !isLoopback(ip) &&
  !isMulticast(ip) &&
  !isLinkLocalUnicast(ip) &&
  !(ip.family === "IPv4" && ip.value === 0xffffffffn);
const is = (name: string, holds: (ip: Ip) => boolean): Overload =>
  define(name, `${ipType}.() bool`, (value: OpaqueValue) => holds(ipOf(value)));

/** Addresses and blocks. */
export const addresses: readonly Overload[] = [
  define("ip", `(string) ${ipType}`, parsedIp, traversal()),
  define("isIP", "(string) bool", (text: string) => typeof readIp(text) !== "string", traversal()),
  define("ip.isCanonical", "(string) bool", (text: string) => formatIp(ipOf(parsedIp(text))) === text, traversal(2)),
  define("string", `(${ipType}) string`, (value: OpaqueValue) => formatIp(ipOf(value))),
  define("family", `${ipType}.() int`, (value: OpaqueValue) => (ipOf(value).family === "IPv4" ? 4n : 6n)),
  is("isUnspecified", isUnspecified),
  is("isLoopback", isLoopback),
  is("isLinkLocalMulticast", isLinkLocalMulticast),
  is("isLinkLocalUnicast", isLinkLocalUnicast),
  is("isGlobalUnicast", isGlobalUnicast),
  define("cidr", `(string) ${cidrType}`, parsedCidr, traversal()),
  define("isCIDR", "(string) bool", (text: string) => typeof readCidr(text) !== "string", traversal()),
  define("string", `(${cidrType}) string`, (value: OpaqueValue) => {
    const { ip, prefix } = blockOf(value);
    return `${formatIp(ip)}/${prefix}`;
  }),
  define("ip", `${cidrType}.() ${ipType}`, (value: OpaqueValue) => ipValue(blockOf(value).ip)),
  define("prefixLength", `${cidrType}.() int`, (value: OpaqueValue) => BigInt(blockOf(value).prefix)),
  define("masked", `${cidrType}.() ${cidrType}`, (value: OpaqueValue) => cidrValue(masked(blockOf(value)))),
  define(
    "containsIP",
    `${cidrType}.(${ipType}) bool`,
    (value: OpaqueValue, ip: OpaqueValue) => containsIp(blockOf(value), ipOf(ip)),
    addressComparison(2, false),
  ),
  define(
    "containsIP",
    `${cidrType}.(string) bool`,
    (value: OpaqueValue, text: string) => containsIp(blockOf(value), ipOf(parsedIp(text))),
    addressComparison(2, true),
  ),
  define(
    "containsCIDR",
    `${cidrType}.(${cidrType}) bool`,
    (value: OpaqueValue, inner: OpaqueValue) => containsBlock(blockOf(value), blockOf(inner)),
    addressComparison(3, false),
  ),
  define(
    "containsCIDR",
    `${cidrType}.(string) bool`,
    (value: OpaqueValue, text: string) => containsBlock(blockOf(value), blockOf(parsedCidr(text))),
    addressComparison(3, true),
  ),
];
