/**
 * Bytes that are written from their end to their beginning, as Go's marshallers do: the length of a message is known when the place for
 * it comes.
 */
export interface Output {
  /** Bytes written so far. */
  readonly length: number;
  byte(value: number): void;
  bytes(value: Uint8Array): void;
  text(value: string): void;
  /** A whole number from 0 on. */
  varint(value: number): void;
  /** A whole number; one below 0 takes ten bytes. */
  signed(value: number): void;
  double(value: number): void;
  /** What was written, and a fresh start. */
  take(): Uint8Array<ArrayBuffer>;
}

/** Characters up to which a text is written one by one: the call into the runtime costs more. */
const shortText = 32;
/** A buffer that has grown beyond this is not kept. */
const kept = 1 << 20;

export function createOutput(): Output {
  let buffer = Buffer.allocUnsafeSlow(16 << 10);
  let at = buffer.length;

  const room = (size: number): void => {
    if (size <= at) return;
    const used = buffer.length - at;
    const larger = Buffer.allocUnsafeSlow(Math.max(buffer.length * 2, used + size));
    buffer.copy(larger, larger.length - used, at);
    at = larger.length - used;
    buffer = larger;
  };

  const varint = (value: number): void => {
    if (value < 0x80) {
      room(1);
      buffer[--at] = value;
      return;
    }
    let size = 1;
    for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) size++;
    room(size);
    at -= size;
    let place = at;
    let rest = value;
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) buffer[place++] = (rest % 0x80) | 0x80;
    buffer[place] = rest;
  };

  /** False for a text that is not ASCII: nothing is written then. */
  const ascii = (value: string): boolean => {
    const start = at - value.length;
    for (let i = 0; i < value.length; i++) {
      const code = value.charCodeAt(i);
      if (code >= 0x80) return false;
      buffer[start + i] = code;
    }
    at = start;
    return true;
  };

  return {
    get length() {
      return buffer.length - at;
    },
    byte(value) {
      room(1);
      buffer[--at] = value;
    },
    bytes(value) {
      room(value.length);
      at -= value.length;
      buffer.set(value, at);
    },
    text(value) {
      room(value.length);
      if (value.length <= shortText && ascii(value)) return;
      const size = Buffer.byteLength(value);
      room(size);
      at -= size;
      buffer.write(value, at, size, "utf8");
    },
    varint,
    signed(value) {
      if (value >= 0) return varint(value);
      let rest = BigInt.asUintN(64, BigInt(value));
      room(10);
      at -= 10;
      for (let i = 0; i < 10; i++) {
        buffer[at + i] = Number(rest & 0x7fn) | (i < 9 ? 0x80 : 0);
        rest >>= 7n;
      }
    },
    double(value) {
      room(8);
      at -= 8;
      buffer.writeDoubleLE(value, at);
    },
    take() {
      const size = buffer.length - at;
      // Not from Buffer's pool: a small message that lives long would hold a whole slab.
      const taken = Buffer.allocUnsafeSlow(size);
      buffer.copy(taken, 0, at);
      if (buffer.length > kept) buffer = Buffer.allocUnsafeSlow(16 << 10);
      at = buffer.length;
      return taken;
    },
  };
}
