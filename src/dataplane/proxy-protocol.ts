import { isIPv6 } from "node:net";
import { parseIp } from "../kube/index.ts";

/** Two ends of a connection, as its first hop sees them. */
export interface ConnectionEnds {
  readonly source: string;
  readonly sourcePort: number;
  readonly destination: string;
  readonly destinationPort: number;
}

const signature = Buffer.from("0d0a0d0a000d0a515549540a", "hex");

/** What is sent ahead of a connection's bytes, so that its end knows who the client is (HAProxy's PROXY protocol, versions 1 and 2). */
export function proxyHeader(version: 1 | 2, ends: ConnectionEnds): Buffer {
  const source = plain(ends.source);
  const destination = plain(ends.destination);
  const six = isIPv6(source) || isIPv6(destination);
  if (version === 1) {
    const [from, to] = six ? [asSix(source), asSix(destination)] : [source, destination];
    return Buffer.from(
      `PROXY ${six ? "TCP6" : "TCP4"} ${from} ${to} ${ends.sourcePort} ${ends.destinationPort}\r\n`,
      "latin1",
    );
  }
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(ends.sourcePort, 0);
  ports.writeUInt16BE(ends.destinationPort, 2);
  const addresses = Buffer.concat([bytesOf(source, six), bytesOf(destination, six), ports]);
  // Version 2, command PROXY; then family and stream.
  const head = Buffer.from([0x21, six ? 0x21 : 0x11, addresses.length >> 8, addresses.length & 255]);
  return Buffer.concat([signature, head, addresses]);
}

/** An IPv4 client at a socket of both families is an IPv4 client; zones mean nothing elsewhere. */
function plain(address: string): string {
  return address.replace(/%.*$/, "").replace(/^::ffff:(?=\d+\.)/i, "");
}

const asSix = (address: string): string => (isIPv6(address) ? address : `::ffff:${address}`);

function bytesOf(address: string, six: boolean): Buffer {
  if (!six) return Buffer.from(address.split(".").map(Number));
  const ip = parseIp(asSix(address));
  return Buffer.from((ip?.value ?? 0n).toString(16).padStart(32, "0"), "hex");
}
