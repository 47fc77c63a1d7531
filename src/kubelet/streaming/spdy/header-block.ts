import { constants, inflateRawSync } from "node:zlib";
import { dictionary } from "./dictionary.ts";
import { SpdyError } from "./error.ts";

/** Names are lower-case. Several values of one name are joined by NUL, as on the wire. */
export type Headers = ReadonlyMap<string, string>;

/** Bytes that one header block may have, not compressed. */
const mostBytes = 32 << 10;
/** Bytes that a deflate stream may refer back to. */
const windowBytes = 32 << 10;
/** Bytes of a zlib header: two, and four more that name the dictionary (RFC 1950). */
const zlibHeader = 2;
const dictionaryFlag = 0x20;

/**
 * Reads the header blocks of one direction of a connection, in order: together they are one zlib stream. Each block ends at a byte
 * (a sync flush), so it can be inflated by itself, with what was inflated before as its dictionary: no state outside this
 * process's heap, and nothing is inflated beyond the limit. Throws SpdyError.
 */
export function createHeaderReader(): (block: Uint8Array) => Headers {
  let window: Buffer | undefined;
  return (block) => {
    let compressed = block;
    let known = window;
    if (!known) {
      const hasDictionary = ((block[1] ?? 0) & dictionaryFlag) !== 0;
      if (block.length < zlibHeader || ((block[0] ?? 0) & 0x0f) !== 8)
        throw new SpdyError("PROTOCOL", "no zlib stream");
      compressed = block.subarray(hasDictionary ? zlibHeader + 4 : zlibHeader);
      known = hasDictionary ? dictionary : Buffer.alloc(0);
    }
    let plain: Buffer;
    try {
      plain = inflateRawSync(compressed, {
        ...(known.length > 0 ? { dictionary: known } : {}),
        finishFlush: constants.Z_SYNC_FLUSH,
        maxOutputLength: mostBytes,
      });
    } catch (error) {
      throw new SpdyError("PROTOCOL", `headers can not be inflated: ${(error as Error).message}`);
    }
    window = Buffer.concat([known, plain]).subarray(-windowBytes);
    return parseHeaders(plain);
  };
}

function parseHeaders(plain: Buffer): Headers {
  let at = 0;
  const number = (): number => {
    if (at + 4 > plain.length) throw new SpdyError("PROTOCOL", "a header block is cut off");
    at += 4;
    return plain.readUInt32BE(at - 4);
  };
  const text = (): string => {
    const length = number();
    if (length > plain.length - at) throw new SpdyError("PROTOCOL", "a header is longer than its block");
    at += length;
    return plain.toString("latin1", at - length, at);
  };
  const headers = new Map<string, string>();
  for (let left = number(); left > 0; left--) {
    const name = text().toLowerCase();
    if (name === "" || headers.has(name)) throw new SpdyError("PROTOCOL", "a header has no name or comes twice");
    headers.set(name, text());
  }
  return headers;
}

/** An empty stored block: the reader gives out what it has (RFC 1951, section 3.2.4). */
const flush = Buffer.from([0, 0, 0, 0xff, 0xff]);

/**
 * Writes header blocks as a zlib stream whose blocks are stored, not compressed: every reader understands it, and there is no
 * compression that could tell of a secret by its length.
 */
export function createHeaderWriter(): (headers: Headers) => Buffer {
  let begun = false;
  return (headers) => {
    const parts: Buffer[] = [uint32(headers.size)];
    for (const [name, value] of headers) {
      parts.push(uint32(name.length), Buffer.from(name, "latin1"), uint32(value.length), Buffer.from(value, "latin1"));
    }
    const plain = Buffer.concat(parts);
    const stored = Buffer.alloc(5);
    stored.writeUInt16LE(plain.length, 1);
    stored.writeUInt16LE(~plain.length & 0xffff, 3);
    const beginning = begun ? Buffer.alloc(0) : Buffer.from([0x78, 0x01]);
    begun = true;
    return Buffer.concat([beginning, stored, plain, flush]);
  };
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
