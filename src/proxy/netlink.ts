import { endianness } from "node:os";

/** The kernel's nftables by netlink, without nft. */
export interface Netlink {
  /**
   * Asks, and hands each answer to `visit`, whose buffer is only good meanwhile. Throws `NetlinkError`: `ENOENT` when there is no such
   * thing, `EINTR` when it changed while it was listed.
   */
  ask(question: Question, visit: (answer: Message) => void): Promise<void>;
  /** The generation of the rules: it grows by one with each transaction, whoever makes it. */
  generation(): number;
  /**
   * Applies a batch of messages (`createMessages`), all of it or nothing: the kernel has done so when this returns. Throws `NetlinkError` when
   * it was refused.
   */
  commit(batch: Buffer): void;
  /** Hands over what was told of changes since the last call; false when some was lost. */
  changes(visit: (change: Message) => void): boolean;
  /** Whether changes are told from now on. While they are not, the kernel is spared making the messages: a large change costs it a third less. */
  listen(on: boolean): void;
  close(): void;
}

/** The kernel refused to answer. */
export class NetlinkError extends Error {
  readonly code: "ENOENT" | "EINTR" | "EOTHER";

  constructor(errno: number) {
    super(`netlink: error ${errno}`);
    this.name = "NetlinkError";
    this.code = errno === 2 ? "ENOENT" : errno === 4 ? "EINTR" : "EOTHER";
  }
}

/** Message types of linux/netfilter/nf_tables.h. */
export const kinds = {
  newTable: 0,
  getTable: 1,
  delTable: 2,
  newChain: 3,
  getChain: 4,
  delChain: 5,
  newRule: 6,
  getRule: 7,
  delRule: 8,
  newElement: 12,
  getElement: 13,
  delElement: 14,
  newGeneration: 15,
  getGeneration: 16,
} as const;

export interface Question {
  readonly kind: number;
  readonly family: "ip" | "ip6";
  /** Texts by the number of their attribute. */
  readonly texts: readonly (readonly [number, string])[];
  /** All that match, not one. */
  readonly list: boolean;
}

export interface Message {
  readonly kind: number;
  /** 2 for `ip`, 10 for `ip6`. */
  readonly family: number;
  readonly attributes: Buffer;
}

export const familyNumber = { ip: 2, ip6: 10 } as const;

const little = endianness() === "LE";
/** A number in the byte order of this machine. */
export const hostUInt32 = (data: Buffer, at: number): number =>
  little ? data.readUInt32LE(at) : data.readUInt32BE(at);
const hostUInt16 = (data: Buffer, at: number): number => (little ? data.readUInt16LE(at) : data.readUInt16BE(at));
function put(data: Buffer, value: number, at: number, bytes: 2 | 4): void {
  if (little) data.writeUIntLE(value, at, bytes);
  else data.writeUIntBE(value, at, bytes);
}

/** The attributes in a buffer: number and value. What is cut short is left out. */
export function* attributesIn(data: Buffer): Generator<readonly [number, Buffer]> {
  for (let at = 0; at + 4 <= data.length;) {
    const length = hostUInt16(data, at);
    if (length < 4 || at + length > data.length) return;
    yield [hostUInt16(data, at + 2) & 0x3fff, data.subarray(at + 4, at + length)];
    at += (length + 3) & ~3;
  }
}

/** The value of one attribute. */
export function attribute(data: Buffer, number: number): Buffer | undefined {
  for (const [found, value] of attributesIn(data)) if (found === number) return value;
  return undefined;
}

/** A name as the kernel writes it, with a zero byte at the end. */
export function nameIn(data: Buffer | undefined): string {
  if (!data) return "";
  const end = data.indexOf(0);
  return data.toString("latin1", 0, end < 0 ? data.length : end);
}

const headerSize = 16;
const familySize = 4;
const [request, acknowledge, dump, interrupted] = [0x1, 0x4, 0x300, 0x10];
const [netlinkError, netlinkDone] = [2, 3];
const subsystem = 10;
const generationOnly = Buffer.alloc(0);

/** One message, ready to be sent. */
export function encode({ kind, family, texts, list }: Question, sequence: number): Buffer {
  const values = texts.map(([number, text]) => {
    const value = Buffer.alloc((4 + text.length + 1 + 3) & ~3);
    put(value, 4 + text.length + 1, 0, 2);
    put(value, number, 2, 2);
    value.write(text, 4, "latin1");
    return value;
  });
  const head = Buffer.alloc(headerSize + familySize);
  const body = texts.length > 0 ? Buffer.concat(values) : generationOnly;
  put(head, head.length + body.length, 0, 4);
  put(head, subsystem * 256 + kind, 4, 2);
  put(head, request | (list ? dump : acknowledge), 6, 2);
  put(head, sequence, 8, 4);
  head.writeUInt8(familyNumber[family], headerSize);
  return Buffer.concat([head, body]);
}

/** What one buffer from the kernel says. */
export interface Received {
  readonly messages: readonly Message[];
  /** The answer is complete. */
  readonly done: boolean;
  readonly errno: number;
}

export function decode(data: Buffer): Received {
  const messages: Message[] = [];
  let done = false;
  let errno = 0;
  for (let at = 0; at + headerSize <= data.length;) {
    const length = hostUInt32(data, at);
    if (length < headerSize || at + length > data.length) break;
    const type = hostUInt16(data, at + 4);
    const body = data.subarray(at + headerSize, at + length);
    if ((hostUInt16(data, at + 6) & interrupted) !== 0 && type >> 8 === subsystem) errno ||= 4;
    if (type === netlinkDone) done = true;
    else if (type === netlinkError) {
      done = true;
      // Zero is the acknowledgement.
      errno ||= body.length >= 4 ? 0 - (hostUInt32(body, 0) | 0) : 0;
    } else if (type >> 8 === subsystem && body.length >= familySize)
      messages.push({ kind: type & 0xff, family: body.readUInt8(0), attributes: body.subarray(familySize) });
    at += (length + 3) & ~3;
  }
  return { messages, done, errno };
}

const [afNetlink, raw, nonBlocking, closeOnExec, netfilter] = [16, 3, 0o4000, 0o2000000, 12];
/** The number of the group that is told of changes in nftables. */
const changesGroup = 7;
const [solNetlink, addMembership, dropMembership] = [270, 1, 2];
const [solSocket, sendBufferForce, receiveBufferForce] = [1, 32, 33];
const bufferSize = 1 << 17;
/** Bytes the kernel may hold for us of what changes. */
const backlog = 4 << 20;
/** Bytes that one batch may have without asking the kernel for more. */
const smallBatch = 1 << 20;
const protocolError = 71;
/** Buffers read in one turn of the event loop. */
const oneTurn = 32;

/** A socket of the netfilter family that never waits. */
export interface NetlinkSocket {
  /** Throws `NetlinkError`. */
  send(data: Buffer): void;
  /** The bytes of one message, good until the next call, or the number of the error why there are none. */
  take(): Buffer | number;
  /** Bytes that the kernel may hold for us. */
  hold(bytes: number): void;
  /** Bytes that one message to the kernel may have. */
  allow(bytes: number): void;
  /** Hears of changes, or does not. */
  follow(on: boolean): void;
  close(): void;
}

/** `take` found nothing; something was lost because it was not taken in time. */
export const [again, noBufferSpace] = [11, 105];

/**
 * Opens sockets in the network namespace that this thread is in. Rejects where there is no foreign function interface; what it gives throws
 * `NetlinkError` where there is no right to open one.
 */
export async function netlinkSockets(): Promise<() => NetlinkSocket> {
  const { default: koffi } = await import("koffi");
  const libc = koffi.load("libc.so.6");
  const socket = libc.func("int socket(int domain, int type, int protocol)");
  const bind = libc.func("int bind(int fd, const void *address, uint32_t length)");
  const setOption = libc.func("int setsockopt(int fd, int level, int name, const void *value, uint32_t length)");
  const send = libc.func("long send(int fd, const void *data, size_t length, int flags)");
  const receive = libc.func("long recv(int fd, void *data, size_t length, int flags)");
  const shut = libc.func("int close(int fd)");
  const buffer = Buffer.alloc(bufferSize);
  const setSize = (fd: number, name: number, bytes: number): void => {
    const size = Buffer.alloc(4);
    put(size, bytes, 0, 4);
    setOption(fd, solSocket, name, size, size.length);
  };

  return () => {
    const fd = Number(socket(afNetlink, raw | nonBlocking | closeOnExec, netfilter));
    if (fd < 0) throw new NetlinkError(koffi.errno());
    const address = Buffer.alloc(12);
    put(address, afNetlink, 0, 2);
    if (Number(bind(fd, address, address.length)) !== 0) {
      const errno = koffi.errno();
      shut(fd);
      throw new NetlinkError(errno);
    }
    return {
      send(data) {
        if (Number(send(fd, data, data.length, 0)) < 0) throw new NetlinkError(koffi.errno());
      },
      take() {
        const length = Number(receive(fd, buffer, buffer.length, 0));
        return length < 0 ? koffi.errno() : buffer.subarray(0, length);
      },
      hold: (bytes) => setSize(fd, receiveBufferForce, bytes),
      allow: (bytes) => setSize(fd, sendBufferForce, bytes),
      follow(on) {
        const group = Buffer.alloc(4);
        put(group, changesGroup, 0, 4);
        if (Number(setOption(fd, solNetlink, on ? addMembership : dropMembership, group, group.length)) !== 0)
          throw new NetlinkError(koffi.errno());
      },
      close: () => shut(fd),
    };
  };
}

/** Opens it in the network namespace that this thread is in. Throws where there is no foreign function interface or no right to do so. */
export async function openNetlink(): Promise<Netlink> {
  const open = await netlinkSockets();
  const asking = open();
  const listening = open();
  listening.follow(true);
  // To close a socket of netfilter waits until all that was removed from nftables is freed, some 10 ms: none is opened for a look.
  const counting = open();
  listening.hold(backlog);
  const committing = open();
  /** Bytes that may be sent at once. */
  let largestBatch = 0;
  let sequence = 0;
  let closed = false;
  /** One question at a time: answers to two would mix. */
  let turn: Promise<unknown> = Promise.resolve();

  function say(question: Question): void {
    if (closed) throw new NetlinkError(9);
    const data = encode(question, ++sequence);
    // What an earlier question left behind when its visitor threw.
    while (typeof asking.take() !== "number");
    asking.send(data);
  }

  async function listen(question: Question, visit: (answer: Message) => void): Promise<void> {
    say(question);
    let errno = 0;
    for (let i = 1; ; i++) {
      const data = asking.take();
      if (typeof data === "number") throw new NetlinkError(data);
      const received = decode(data);
      errno ||= received.errno;
      for (const message of received.messages) visit(message);
      if (received.done) break;
      if (i % oneTurn === 0) await new Promise((resolve) => setImmediate(resolve));
      if (closed) throw new NetlinkError(9);
    }
    if (errno !== 0) throw new NetlinkError(errno);
  }

  return {
    ask(question, visit) {
      const answered = turn.then(() => listen(question, visit));
      turn = answered.catch(() => {});
      return answered;
    },
    generation() {
      if (closed) throw new NetlinkError(9);
      // On a socket of its own, so that it disturbs no list that is being read.
      while (typeof counting.take() !== "number");
      counting.send(encode({ kind: kinds.getGeneration, family: "ip", texts: [], list: false }, ++sequence));
      const answer = counting.take();
      if (typeof answer === "number") throw new NetlinkError(answer);
      const [message] = decode(answer).messages;
      return message ? generationIn(message) : 0;
    },
    commit(batch) {
      if (closed) throw new NetlinkError(9);
      while (typeof committing.take() !== "number");
      if (batch.length > largestBatch) {
        largestBatch = Math.max(batch.length, smallBatch);
        committing.allow(largestBatch);
      }
      // The kernel is through with all of it when this returns, whatever signals come meanwhile; its answers wait.
      committing.send(batch);
      let errno = 0;
      let acknowledged = false;
      for (;;) {
        const answer = committing.take();
        if (answer === again) break;
        if (typeof answer === "number") throw new NetlinkError(answer);
        const received = decode(answer);
        errno ||= received.errno;
        acknowledged ||= received.done;
      }
      if (errno !== 0 || !acknowledged) throw new NetlinkError(errno || protocolError);
    },
    changes(visit) {
      let complete = true;
      for (;;) {
        if (closed) return true;
        const data = listening.take();
        if (typeof data !== "number") {
          for (const message of decode(data).messages) visit(message);
          continue;
        }
        if (data === noBufferSpace) complete = false;
        else if (data === again) return complete;
        else return false;
      }
    },
    listen(on) {
      if (!closed) listening.follow(on);
    },
    close() {
      if (closed) return;
      closed = true;
      for (const one of [asking, listening, counting, committing]) one.close();
    },
  };
}

/** Of a message that names a generation. */
export function generationIn({ attributes }: Message): number {
  return attribute(attributes, 1)?.readUInt32BE(0) ?? 0;
}
