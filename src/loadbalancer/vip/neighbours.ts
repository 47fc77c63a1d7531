import { endianness, networkInterfaces } from "node:os";
import { parseIp } from "../../kube/index.ts";
import type { Clock } from "../../system/index.ts";
import {
  arpProbe,
  neighbourSolicitation,
  readAdvertisement,
  readArp,
  solicitedNode,
  type Claimant,
} from "./neighbour-frames.ts";

/** An address, and the interface on whose network it is asked for. */
export interface Question {
  readonly address: string;
  readonly device: string;
}

/** Asks the network who has an address, also one that this node has. */
export interface Neighbours {
  /** Hardware addresses of the other machines that say they have it, by address. Those that nobody else has are left out. */
  ask(questions: readonly Question[]): Promise<ReadonlyMap<string, readonly string[]>>;
}

// From linux/if_packet.h, linux/if_ether.h, linux/in6.h, linux/icmpv6.h and asm-generic/socket.h.
const [familyPacket, familyIpv6] = [17, 10];
const [datagram, raw, nonBlocking, closeOnExec] = [2, 3, 0o4000, 0o2000000];
const protocolArp = 0x0806;
const icmpv6 = 58;
const [levelSocket, levelIpv6] = [1, 41];
const bindToDevice = 25;
const [multicastInterface, multicastHops] = [17, 18];
const icmpFilter = 1;
const advertisement = 136;

/** Milliseconds that answers are waited for, and between two looks at what has come. */
const patience = 300;
const pause = 25;
/** Questions that are asked at once. */
const burst = 64;
/** Packets that are read at one look: the rest waits in the socket, which has a bound of its own. */
const mostRead = 1024;

interface Asking {
  send(address: string): void;
  /** What has come since the last look. */
  read(): Claimant[];
  close(): void;
}

/**
 * Asks by ARP probes and neighbour solicitations through sockets of its own, as the kernel asks nobody for an address that is its own. Needs
 * CAP_NET_RAW. Rejects where there is no foreign function interface.
 */
export async function openNeighbours(clock: Clock): Promise<Neighbours> {
  const sockets = await openRawSockets();
  return {
    async ask(questions) {
      const byWay = new Map<string, { device: string; family: "IPv4" | "IPv6"; addresses: string[] }>();
      for (const { address, device } of questions) {
        const ip = parseIp(address);
        if (!ip) continue;
        const key = `${ip.family} ${device}`;
        const way = byWay.get(key) ?? { device, family: ip.family, addresses: [] };
        way.addresses.push(address);
        byWay.set(key, way);
      }
      const asked = new Set(questions.map(({ address }) => address));
      const found = new Map<string, Set<string>>();
      for (const { device, family, addresses } of byWay.values()) {
        const mac = macOf(device);
        const own = ownMacs();
        if (mac === undefined) continue;
        const asking = family === "IPv4" ? sockets.arp(device, mac) : sockets.neighbour(device, mac);
        try {
          const hear = () => {
            for (const { address, mac: whose } of asking.read()) {
              if (own.has(whose) || !asked.has(address)) continue;
              found.set(address, (found.get(address) ?? new Set()).add(whose));
            }
          };
          for (let at = 0; at < addresses.length; at += burst) {
            for (const address of addresses.slice(at, at + burst)) asking.send(address);
            await clock.sleep(pause);
            hear();
          }
          for (let waited = 0; waited < patience; waited += pause) {
            await clock.sleep(pause);
            hear();
          }
        } finally {
          asking.close();
        }
      }
      return new Map([...found].map(([address, macs]) => [address, [...macs].sort()]));
    },
  };
}

/** Of all interfaces: two of them on one network answer for each other. */
const ownMacs = (): Set<string> =>
  new Set(Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ mac }) => mac)));

function macOf(device: string): string | undefined {
  return networkInterfaces()[device]?.find(({ mac }) => mac !== "00:00:00:00:00:00")?.mac;
}

async function openRawSockets() {
  const { default: koffi } = await import("koffi");
  const libc = koffi.load(null);
  type Call = (...values: (number | string | Buffer)[]) => number;
  const call = (prototype: string): Call => libc.func(prototype) as Call;
  const socket = call("int socket(int, int, int)");
  const bind = call("int bind(int, const void *, unsigned int)");
  const setOption = call("int setsockopt(int, int, int, const void *, unsigned int)");
  const sendTo = call("long sendto(int, const void *, size_t, int, const void *, unsigned int)");
  const receive = call("long recv(int, void *, size_t, int)");
  const close = call("int close(int)");
  const indexOf = call("unsigned int if_nametoindex(const char *)");
  const data = Buffer.alloc(2048);

  const must = (given: number, what: string): number => {
    if (given < 0) throw new Error(`${what} was refused by the system: error ${koffi.errno()}`);
    return given;
  };
  const number = (value: number): Buffer => Buffer.from(new Int32Array([value]).buffer);
  const short = (value: number): Buffer => Buffer.from(new Uint16Array([value]).buffer);
  const indexOrThrow = (device: string): number => {
    const index = indexOf(device);
    if (index === 0) throw new Error(`there is no interface ${JSON.stringify(device)}`);
    return index;
  };
  const option = (fd: number, level: number, name: number, value: Buffer) =>
    must(setOption(fd, level, name, value, value.length), `option ${name} of a socket`);
  const asking = (
    fd: number,
    send: (address: string) => void,
    read: (packet: Buffer) => Claimant | undefined,
  ): Asking => ({
    send,
    read() {
      const claims: Claimant[] = [];
      for (let i = 0; i < mostRead; i++) {
        const length = receive(fd, data, data.length, 0);
        if (length < 0) break;
        const claim = read(data.subarray(0, length));
        if (claim) claims.push(claim);
      }
      return claims;
    },
    close: () => void close(fd),
  });
  /** Opens a socket and prepares it; it is closed when that fails. */
  const opened = (family: number, type: number, protocol: number, prepare: (fd: number) => void): number => {
    const fd = must(socket(family, type | nonBlocking | closeOnExec, protocol), "a raw socket (CAP_NET_RAW)");
    try {
      prepare(fd);
    } catch (error) {
      close(fd);
      throw error;
    }
    return fd;
  };

  return {
    arp(device: string, mac: string): Asking {
      const index = indexOrThrow(device);
      const name = Buffer.concat([
        short(familyPacket),
        Buffer.from([protocolArp >> 8, protocolArp & 0xff]),
        number(index),
        Buffer.from([0, 0, 0, 6, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0]),
      ]);
      const wire = endianness() === "LE" ? ((protocolArp & 0xff) << 8) | (protocolArp >> 8) : protocolArp;
      const fd = opened(familyPacket, datagram, wire, (one) => must(bind(one, name, name.length), "listening to ARP"));
      const send = (address: string) => {
        const frame = arpProbe(address, mac);
        sendTo(fd, frame, frame.length, 0, name, name.length);
      };
      return asking(fd, send, readArp);
    },
    neighbour(device: string, mac: string): Asking {
      const index = indexOrThrow(device);
      const onlyAdvertisements = new Uint32Array(8).fill(0xffff_ffff);
      onlyAdvertisements[advertisement >> 5] = (0xffff_ffff & ~(1 << (advertisement & 31))) >>> 0;
      const fd = opened(familyIpv6, raw, icmpv6, (one) => {
        option(one, icmpv6, icmpFilter, Buffer.from(onlyAdvertisements.buffer));
        option(one, levelSocket, bindToDevice, Buffer.from(`${device}\0`));
        option(one, levelIpv6, multicastHops, number(255));
        option(one, levelIpv6, multicastInterface, number(index));
      });
      const send = (address: string) => {
        const name = Buffer.concat([short(familyIpv6), Buffer.alloc(6), solicitedNode(address), number(index)]);
        const message = neighbourSolicitation(address, mac);
        sendTo(fd, message, message.length, 0, name, name.length);
      };
      return asking(fd, send, readAdvertisement);
    },
  };
}
