import { formatIp, parseIp, type IpFamily } from "../../kube/index.ts";

/** Who says that an address is its: its hardware address, as `02:00:00:00:00:01`. */
export interface Claimant {
  readonly address: string;
  readonly mac: string;
}

const [ethernet, ipv4] = [1, 0x0800];
const request = 1;
const arpLength = 28;
const [solicitation, advertisement] = [135, 136];
const [sourceLink, targetLink] = [1, 2];

/** An ARP probe (RFC 5227, 2.1.1): it has no sender's address, so nobody who hears it learns anything wrong. Throws for what is no IPv4 address. */
export function arpProbe(address: string, mac: string): Buffer {
  const frame = Buffer.alloc(arpLength);
  frame.writeUInt16BE(ethernet, 0);
  frame.writeUInt16BE(ipv4, 2);
  frame[4] = 6;
  frame[5] = 4;
  frame.writeUInt16BE(request, 6);
  macBytes(mac).copy(frame, 8);
  addressBytes(address, "IPv4").copy(frame, 24);
  return frame;
}

/** A neighbour solicitation (RFC 4861, 4.3) from the node's own address; the kernel fills in the checksum. Throws for what is no IPv6 address. */
export function neighbourSolicitation(address: string, mac: string): Buffer {
  const message = Buffer.alloc(32);
  message[0] = solicitation;
  addressBytes(address, "IPv6").copy(message, 8);
  message[24] = sourceLink;
  message[25] = 1;
  macBytes(mac).copy(message, 26);
  return message;
}

/** The group that hears solicitations for an address (RFC 4291, 2.7.1): 16 bytes. */
export function solicitedNode(address: string): Buffer {
  const group = Buffer.from("ff0200000000000000000001ff000000", "hex");
  addressBytes(address, "IPv6").copy(group, 13, 13);
  return group;
}

/** Whose sender an ARP packet says it is: an answer, or an announcement. Undefined: nobody's, or it is none of Ethernet and IPv4. */
export function readArp(frame: Buffer): Claimant | undefined {
  if (frame.length < arpLength || frame.readUInt16BE(0) !== ethernet || frame.readUInt16BE(2) !== ipv4)
    return undefined;
  if (frame[4] !== 6 || frame[5] !== 4) return undefined;
  const sender = frame.readUInt32BE(14);
  if (sender === 0) return undefined;
  return { address: formatIp({ family: "IPv4", value: BigInt(sender) }), mac: macText(frame.subarray(8, 14)) };
}

/** Whose target a neighbour advertisement says it is, without the IPv6 header. One that does not tell its hardware address is not read. */
export function readAdvertisement(message: Buffer): Claimant | undefined {
  if (message.length < 24 || message[0] !== advertisement || message[1] !== 0) return undefined;
  const address = formatIp({ family: "IPv6", value: BigInt(`0x${message.toString("hex", 8, 24)}`) });
  for (let at = 24; at + 8 <= message.length;) {
    const length = (message[at + 1] ?? 0) * 8;
    if (length === 0) return undefined;
    if (message[at] === targetLink) return { address, mac: macText(message.subarray(at + 2, at + 8)) };
    at += length;
  }
  return undefined;
}

function addressBytes(text: string, family: IpFamily): Buffer {
  const ip = parseIp(text);
  if (ip?.family !== family) throw new TypeError(`${JSON.stringify(text)} is not an ${family} address`);
  return Buffer.from(ip.value.toString(16).padStart(family === "IPv4" ? 8 : 32, "0"), "hex");
}

function macBytes(text: string): Buffer {
  if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(text)) throw new TypeError(`${JSON.stringify(text)} is no MAC address`);
  return Buffer.from(text.replaceAll(":", ""), "hex");
}

const macText = (bytes: Buffer): string => [...bytes].map((one) => one.toString(16).padStart(2, "0")).join(":");
