import type { Protocol, ServiceModel } from "../services/index.ts";
import { readAddress } from "../services/index.ts";
import type { Clock, Logger } from "../system/index.ts";
import { placeText } from "./connections.ts";
import { attribute, netlinkSockets, NetlinkError } from "./netlink.ts";

/** The kernel's rules hand first packets to this group of nfnetlink_log; `tcpdump -i nflog:4203` reads it where no proxy does. */
export const logGroup = 4203;
/** Packets a second that a rule tells of, and how many at once; bytes of each. */
export const [logRate, logBurst, logSize] = [10, 20, 64];

/** The first packet of a connection to a Service that is to be told of. */
export interface LoggedPacket {
  readonly source: string;
  readonly sourcePort: number;
  readonly destination: string;
  readonly port: number;
  readonly protocol: Protocol;
}

/** Milliseconds between looks for packets. */
const lookEvery = 250;
/** Packets told of in one look: more than the rules let through. */
const mostAtOnce = 1_000;

/**
 * Tells of the packets that the rules hand over, until the signal aborts. Rejects where the kernel cannot or this user may not.
 * @param tell called for each packet
 */
export async function followPackets(
  tell: (packet: LoggedPacket) => void,
  { signal, clock }: { readonly signal: AbortSignal; readonly clock: Clock },
): Promise<void> {
  const socket = (await netlinkSockets())();
  try {
    socket.send(bindMessage());
    const answer = socket.take();
    const errno = typeof answer === "number" ? answer : -answer.readInt32LE(16);
    if (errno !== 0) throw new NetlinkError(errno);
    while (!signal.aborted) {
      for (let i = 0; i < mostAtOnce; i++) {
        const data = socket.take();
        if (typeof data === "number") break;
        for (const packet of packetsIn(data)) tell(packet);
      }
      await clock.sleep(lookEvery, signal).catch(() => {});
    }
  } finally {
    socket.close();
  }
}

const [config, packetKind, logSubsystem] = [1, 0, 4];
const [commandAttribute, modeAttribute, payloadAttribute] = [1, 2, 9];
const [bindCommand, copyPacket] = [1, 2];

/** Binds a socket to the group, and asks for the beginning of each packet (linux/netfilter/nfnetlink_log.h). */
function bindMessage(): Buffer {
  const data = Buffer.alloc(16 + 4 + 8 + 12);
  data.writeUInt32LE(data.length, 0);
  data.writeUInt16LE(logSubsystem * 256 + config, 4);
  data.writeUInt16LE(0x1 | 0x4, 6);
  data.writeUInt32LE(1, 8);
  data.writeUInt16BE(logGroup, 18);
  data.writeUInt16LE(5, 20);
  data.writeUInt16LE(commandAttribute, 22);
  data.writeUInt8(bindCommand, 24);
  data.writeUInt16LE(10, 28);
  data.writeUInt16LE(modeAttribute, 30);
  data.writeUInt32BE(logSize, 32);
  data.writeUInt8(copyPacket, 36);
  return data;
}

/** The packets in one buffer of the kernel's. */
export function* packetsIn(data: Buffer): Generator<LoggedPacket> {
  for (let at = 0; at + 20 <= data.length;) {
    const length = data.readUInt32LE(at);
    if (length < 20 || at + length > data.length) return;
    if (data.readUInt16LE(at + 4) === logSubsystem * 256 + packetKind) {
      const payload = attribute(data.subarray(at + 20, at + length), payloadAttribute);
      const packet = payload && packetOf(payload);
      if (packet) yield packet;
    }
    at += (length + 3) & ~3;
  }
}

const protocols = new Map<number, Protocol>([
  [6, "TCP"],
  [17, "UDP"],
  [132, "SCTP"],
]);

/** Reads an IP packet's beginning; undefined where it is no connection's. */
export function packetOf(data: Buffer): LoggedPacket | undefined {
  const version = (data[0] ?? 0) >> 4;
  const head = version === 4 ? ((data[0] ?? 0) & 15) * 4 : 40;
  if ((version !== 4 && version !== 6) || data.length < head + 4) return undefined;
  const protocol = protocols.get(data.readUInt8(version === 4 ? 9 : 6));
  if (!protocol) return undefined;
  const address = (from: number): string =>
    version === 4
      ? data.subarray(from, from + 4).join(".")
      : (readAddress(Array.from({ length: 8 }, (_, i) => data.readUInt16BE(from + 2 * i).toString(16)).join(":"))
          ?.address ?? "::");
  const [source, destination] = version === 4 ? [address(12), address(16)] : [address(8), address(24)];
  return { source, sourcePort: data.readUInt16BE(head), destination, port: data.readUInt16BE(head + 2), protocol };
}

/** What tells of connections to Services that an administrator wants logged. */
export interface PacketLog {
  /** Some Service is logged: from now on the kernel is asked for its packets. */
  open(): void;
  /** One that this process has seen itself. */
  tell(packet: LoggedPacket): void;
}

/** Writes them to the log, with what the model says becomes of them: at most `logRate` a second of those that are seen here. */
export function createPacketLog(options: {
  readonly model: Pick<ServiceModel, "route">;
  readonly kernel: boolean;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
}): PacketLog {
  const { model, signal, clock, log } = options;
  let opened = !options.kernel;
  let left = logBurst;
  let filled = clock.now();

  function write({ source, sourcePort, destination, port, protocol }: LoggedPacket): void {
    const { hit, decision, client } = model.route({ source, destination, port, protocol });
    log.info(
      {
        ...(hit ? { service: hit.service, frontend: hit.frontend.kind } : {}),
        source: placeText(source, sourcePort),
        destination: placeText(destination, port),
        protocol,
        client,
        ...(decision ? { verdict: decision.verdict, because: decision.because[0]?.reason } : {}),
      },
      "a connection to a Service that is logged",
    );
  }

  return {
    open() {
      if (opened) return;
      opened = true;
      followPackets(write, { signal, clock }).catch((error: unknown) =>
        log.warn(
          { error: String(error), group: logGroup },
          "connections of Services that are logged cannot be told of here; `tcpdump -i nflog:GROUP` may",
        ),
      );
    },
    tell(packet) {
      const now = clock.now();
      left = Math.min(logBurst, left + ((now - filled) / 1000) * logRate);
      filled = now;
      if (left < 1) return;
      left--;
      write(packet);
    },
  };
}
