import { isIPv4, isIPv6, SocketAddress } from "node:net";
import { endianness } from "node:os";

/** Numbers of the address families, Linux. */
export const socketFamily = { ipv4: 2, ipv6: 10 } as const;
const little = endianness() === "LE";

/** `struct sockaddr_in` or `sockaddr_in6`; undefined for what is no address, and for one with a zone. */
export function socketAddress(address: string, port: number): Buffer | undefined {
  if (isIPv4(address)) {
    const name = Buffer.alloc(16);
    putFamily(name, socketFamily.ipv4);
    name.writeUInt16BE(port, 2);
    address.split(".").forEach((part, index) => name.writeUInt8(Number(part), 4 + index));
    return name;
  }
  if (!isIPv6(address) || address.includes("%")) return undefined;
  const name = Buffer.alloc(28);
  putFamily(name, socketFamily.ipv6);
  name.writeUInt16BE(port, 2);
  groupsOf(address).forEach((group, index) => name.writeUInt16BE(group, 8 + 2 * index));
  return name;
}

/** What a `struct sockaddr_in` or `sockaddr_in6` says, the address in its one text; undefined for any other family. */
export function readSocketAddress(name: Buffer): { readonly address: string; readonly port: number } | undefined {
  const family = little ? name.readUInt16LE(0) : name.readUInt16BE(0);
  const port = name.readUInt16BE(2);
  if (family === socketFamily.ipv4) return { address: `${name[4]}.${name[5]}.${name[6]}.${name[7]}`, port };
  if (family !== socketFamily.ipv6) return undefined;
  const groups: string[] = [];
  for (let at = 8; at < 24; at += 2) groups.push(name.readUInt16BE(at).toString(16));
  return { address: new SocketAddress({ address: groups.join(":"), family: "ipv6" }).address, port };
}

/** Whether such an address is that of all addresses of its family: 0.0.0.0 or `::`. */
export const isEveryAddress = (name: Buffer): boolean =>
  (name.length === 16 ? name.subarray(4, 8) : name.subarray(8, 24)).every((byte) => byte === 0);

function putFamily(name: Buffer, family: number): void {
  if (little) name.writeUInt16LE(family, 0);
  else name.writeUInt16BE(family, 0);
}

function groupsOf(address: string): number[] {
  // A tail in the form of IPv4 is two groups.
  const plain = address.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_all, a, b, c, d) =>
    [Number(a) * 256 + Number(b), Number(c) * 256 + Number(d)].map((group) => group.toString(16)).join(":"),
  );
  const [head = "", tail] = plain.split("::");
  const parse = (text: string): number[] => (text === "" ? [] : text.split(":").map((group) => parseInt(group, 16)));
  const [before, after] = [parse(head), parse(tail ?? "")];
  return tail === undefined
    ? before
    : [...before, ...Array<number>(8 - before.length - after.length).fill(0), ...after];
}
