/** DER (X.690), as much of it as certificates are made of. */

export const tags = {
  boolean: 0x01,
  integer: 0x02,
  bits: 0x03,
  octets: 0x04,
  oid: 0x06,
  utf8: 0x0c,
  sequence: 0x30,
  set: 0x31,
} as const;

/** One value: tag, length and content. */
export function der(tag: number, ...content: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(content);
  if (body.length < 0x80) return Buffer.concat([Buffer.from([tag, body.length]), body]);
  const size: number[] = [];
  for (let rest = body.length; rest > 0; rest >>>= 8) size.unshift(rest & 0xff);
  return Buffer.concat([Buffer.from([tag, 0x80 | size.length, ...size]), body]);
}

export const sequence = (...content: readonly Uint8Array[]): Buffer => der(tags.sequence, ...content);

/** A value that the context gives its meaning: `[n]` of a structure (constructed) or of a choice (primitive). */
export const inContext = (n: number, constructed: boolean, ...content: readonly Uint8Array[]): Buffer =>
  der(0x80 | (constructed ? 0x20 : 0) | n, ...content);

/** An object identifier, written with dots. */
export function oid(text: string): Buffer {
  const [first = 0, second = 0, ...rest] = text.split(".").map(Number);
  const bytes = [first * 40 + second, ...rest].flatMap((arc) => {
    const digits = [arc & 0x7f];
    for (let left = arc >>> 7; left > 0; left >>>= 7) digits.unshift(0x80 | (left & 0x7f));
    return digits;
  });
  return der(tags.oid, Buffer.from(bytes));
}

/** A time as certificates have it: two digits of the year until 2049, four from then on (RFC 5280 section 4.1.2.5). */
export function time(milliseconds: number): Buffer {
  const text = `${new Date(milliseconds).toISOString().replace(/[-:T]/g, "").slice(0, 14)}Z`;
  const short = Number(text.slice(0, 4)) < 2050;
  return der(short ? 0x17 : 0x18, Buffer.from(short ? text.slice(2) : text));
}

/** Named bits, bit `n` of `flags` being bit n of the string; zeros at the end are left out, as DER wants it. */
export function namedBits(flags: number): Buffer {
  const highest = 31 - Math.clz32(flags);
  const bytes = Buffer.alloc((highest >> 3) + 1);
  for (let n = 0; n <= highest; n++) {
    if (flags & (1 << n)) bytes[n >> 3] = (bytes[n >> 3] ?? 0) | (0x80 >> (n & 7));
  }
  return der(tags.bits, Buffer.from([7 - (highest & 7)]), bytes);
}

/** A value that was read: all of it, and its content. */
export interface DerValue {
  readonly tag: number;
  readonly whole: Buffer;
  readonly content: Buffer;
}

/** The values that follow each other in `bytes`. Throws RangeError for what is no DER. */
export function readAll(bytes: Buffer): DerValue[] {
  const found: DerValue[] = [];
  for (let at = 0; at < bytes.length;) {
    const tag = bytes.readUInt8(at);
    let size = bytes.readUInt8(at + 1);
    let start = at + 2;
    if (size >= 0x80) {
      const digits = size & 0x7f;
      size = bytes.readUIntBE(start, digits);
      start += digits;
    }
    const end = start + size;
    if (end > bytes.length) throw new RangeError(`a value of ${size} bytes ends after the data`);
    found.push({ tag, whole: bytes.subarray(at, end), content: bytes.subarray(start, end) });
    at = end;
  }
  return found;
}
