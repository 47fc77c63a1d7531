import { statusError } from "../../kube/index.ts";

/** Reads the wire format of protobuf. Throws StatusError BadRequest when the bytes end too early or are not well formed. */
export interface Reader {
  /** The next field; undefined at the end. */
  tag(): { field: number; wire: number } | undefined;
  /** A signed integer. Throws when JSON could not hold it exactly. */
  integer(): number;
  double(): number;
  bytes(): Uint8Array;
  /** UTF-8. */
  string(): string;
  skip(wire: number): void;
}

const text = new TextDecoder("utf-8", { fatal: true });

export function createReader(input: Uint8Array): Reader {
  let at = 0;
  const fail = (why: string): never => {
    throw statusError("BadRequest", `the object provided is unrecognized: protobuf: ${why}`);
  };
  const take = (length: number): Uint8Array => {
    if (length < 0 || length > input.length - at) fail("unexpected end");
    at += length;
    return input.subarray(at - length, at);
  };
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = input[at++];
      if (byte === undefined) return fail("unexpected end");
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    return fail("an integer is too long");
  };
  /** Small numbers, as almost all are, without big integers. */
  const small = (): number => {
    const byte = input[at];
    if (byte !== undefined && byte < 0x80) {
      at++;
      return byte;
    }
    return Number(varint());
  };
  const bytes = (): Uint8Array => take(small());
  return {
    tag() {
      if (at >= input.length) return undefined;
      const tag = small();
      const field = Math.floor(tag / 8);
      if (field === 0) fail("a field has no number");
      return { field, wire: tag % 8 };
    },
    integer() {
      const byte = input[at];
      if (byte !== undefined && byte < 0x80) {
        at++;
        return byte;
      }
      const value = Number(BigInt.asIntN(64, varint()));
      return Number.isSafeInteger(value) ? value : fail("an integer is too large");
    },
    double() {
      const part = take(8);
      return new DataView(part.buffer, part.byteOffset, 8).getFloat64(0, true);
    },
    bytes,
    string() {
      try {
        return text.decode(bytes());
      } catch (error) {
        if (error instanceof TypeError) return fail("a text is not UTF-8");
        throw error;
      }
    },
    skip(wire) {
      if (wire === 0) varint();
      else if (wire === 1) take(8);
      else if (wire === 2) bytes();
      else if (wire === 5) take(4);
      else fail("a field has an unknown wire type");
    },
  };
}
