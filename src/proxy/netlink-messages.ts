import { endianness } from "node:os";

/** Writes a batch of nftables messages, one after the other, into a buffer that grows. */
export interface Messages {
  /** Begins a message of linux/netfilter/nf_tables.h; returns where, for `end` or `cut`. */
  begin(kind: number, family: number, flags: number): number;
  end(message: number): void;
  /** Opens an attribute; returns where, for `close` or `cut`. */
  open(attribute: number, nested?: boolean): number;
  close(attribute: number): void;
  /** Forgets what was written from there on. */
  cut(at: number): void;
  /** An attribute that is a name. ASCII. */
  text(attribute: number, value: string): void;
  /** An attribute that is a number of 32 bits with sign, its highest byte first. */
  number(attribute: number, value: number): void;
  /** 32 bits, the highest byte first. */
  word(value: number): true;
  /** 32 bits in the byte order of this machine. */
  hostWord(value: number): true;
  /** Bytes written so far. */
  size(): number;
  beginBatch(): void;
  /** The whole batch; its last message but the one that ends it has these flags too. Nothing may be written after. */
  endBatch(flags: number): Buffer;
}

const little = endianness() === "LE";
const headerSize = 20;
const [request, nestedFlag] = [0x1, 0x8000];
const subsystem = 10;
const [batchBegin, batchEnd] = [0x10, 0x11];

export function createMessages(): Messages {
  let data = Buffer.allocUnsafe(1 << 12);
  let at = 0;
  let last = 0;
  let sequence = 0;

  function room(bytes: number): void {
    if (at + bytes <= data.length) return;
    const larger = Buffer.allocUnsafe(Math.max(data.length * 2, at + bytes));
    data.copy(larger, 0, 0, at);
    data = larger;
  }
  const half = (value: number, where: number): void =>
    void (little ? data.writeUInt16LE(value, where) : data.writeUInt16BE(value, where));
  const whole = (value: number, where: number): void =>
    void (little ? data.writeUInt32LE(value, where) : data.writeUInt32BE(value, where));

  /** @param resource what a batch is for, its highest byte first; 0 in what is not the edge of one */
  function head(type: number, family: number, flags: number, resource: number): number {
    room(headerSize);
    const begun = at;
    whole(0, at);
    half(type, at + 4);
    half(request | flags, at + 6);
    whole(++sequence, at + 8);
    whole(0, at + 12);
    data[at + 16] = family;
    data[at + 17] = 0;
    data.writeUInt16BE(resource, at + 18);
    at += headerSize;
    return begun;
  }
  function edge(type: number): void {
    const begun = head(type, 0, 0, subsystem);
    whole(headerSize, begun);
  }

  return {
    begin: (kind, family, flags) => head(subsystem * 256 + kind, family, flags, 0),
    end(message) {
      whole(at - message, message);
      last = message;
    },
    open(attribute, nested = true) {
      room(4);
      half(attribute | (nested ? nestedFlag : 0), at + 2);
      at += 4;
      return at - 4;
    },
    close: (attribute) => half(at - attribute, attribute),
    cut(where) {
      at = where;
    },
    text(attribute, value) {
      const length = 4 + value.length + 1;
      const padded = (length + 3) & ~3;
      room(padded);
      half(length, at);
      half(attribute, at + 2);
      data.fill(0, at + 4, at + padded);
      data.write(value, at + 4, "latin1");
      at += padded;
    },
    number(attribute, value) {
      room(8);
      half(8, at);
      half(attribute, at + 2);
      data.writeInt32BE(value, at + 4);
      at += 8;
    },
    word(value) {
      room(4);
      data.writeUInt32BE(value, at);
      at += 4;
      return true;
    },
    hostWord(value) {
      room(4);
      whole(value, at);
      at += 4;
      return true;
    },
    size: () => at,
    beginBatch: () => edge(batchBegin),
    endBatch(flags) {
      half(request | flags | (little ? data.readUInt16LE(last + 6) : data.readUInt16BE(last + 6)), last + 6);
      edge(batchEnd);
      return data.subarray(0, at);
    },
  };
}
