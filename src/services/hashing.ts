import { familyOf } from "./address.ts";
import type { ServiceEndpoint } from "./endpoints.ts";

/** With this the kernel and this room hash a client's address; every node has the same, so a client is led to one endpoint wherever it comes in. */
export const clientSeed = 0x5eed_1e55;

/** How many buckets the addresses of clients are put into: enough that endpoints get nearly equal numbers of them. */
export function bucketCount(endpoints: number): number {
  return endpoints <= 64 ? 1024 : 8192;
}

/**
 * Which endpoint each bucket of clients leads to, as indexes of `endpoints`: the one that scores highest for it (rendezvous hashing, weighted
 * as in Schindelhauer and Schomaker 2005). It follows from the endpoints alone: all nodes and modes agree, and when an endpoint comes or goes
 * only the buckets it gains or had are led elsewhere.
 */
export function bucketsOf(endpoints: readonly ServiceEndpoint[]): Uint16Array {
  const known = tables.get(endpoints);
  if (known) return known;
  const table = new Uint16Array(bucketCount(endpoints.length));
  const names = endpoints.map(({ address, port }) => textHash(`${address} ${port}`));
  const even = endpoints.every(({ weight }) => weight === undefined);
  for (let bucket = 0; bucket < table.length; bucket++) {
    const own = Math.imul(bucket + 1, 0x9e37_79b1);
    let best = 0;
    let most = -1;
    for (let i = 0; i < names.length; i++) {
      let score = scramble((names[i] ?? 0) ^ own);
      if (!even) score = (endpoints[i]?.weight ?? 1) / -Math.log((score + 0.5) / 2 ** 32);
      if (score > most) {
        most = score;
        best = i;
      }
    }
    table[bucket] = best;
  }
  tables.set(endpoints, table);
  return table;
}

const tables = new WeakMap<readonly ServiceEndpoint[], Uint16Array>();

/** The endpoint that a client's address leads to; undefined where there is none. */
export function endpointFor(client: string, endpoints: readonly ServiceEndpoint[]): ServiceEndpoint | undefined {
  if (endpoints.length < 2) return endpoints[0];
  const table = bucketsOf(endpoints);
  return endpoints[table[bucketOf(client, table.length)] ?? 0];
}

/** The bucket of a client, as the kernel's `jhash ip saddr mod COUNT seed SEED` has it. */
export function bucketOf(client: string, count: number): number {
  const hash = jhash(bytesOf(client), clientSeed);
  // reciprocal_scale of linux/kernel.h
  return Number((BigInt(hash) * BigInt(count)) >> 32n);
}

/** Jenkins' lookup3 over whole words, as linux/jhash.h has it; the kernel reads words in the machine's own order, here the lower byte first. */
function jhash(data: Uint8Array, seed: number): number {
  const word = (at: number): number =>
    ((data[at] ?? 0) | ((data[at + 1] ?? 0) << 8) | ((data[at + 2] ?? 0) << 16) | ((data[at + 3] ?? 0) << 24)) >>> 0;
  const turn = (value: number, by: number): number => (value << by) | (value >>> (32 - by));
  let a = (0xdead_beef + data.length + seed) | 0;
  let [b, c] = [a, a];
  let at = 0;
  for (; data.length - at > 12; at += 12) {
    a = (a + word(at)) | 0;
    b = (b + word(at + 4)) | 0;
    c = (c + word(at + 8)) | 0;
    a = ((a - c) | 0) ^ turn(c, 4);
    c = (c + b) | 0;
    b = ((b - a) | 0) ^ turn(a, 6);
    a = (a + c) | 0;
    c = ((c - b) | 0) ^ turn(b, 8);
    b = (b + a) | 0;
    a = ((a - c) | 0) ^ turn(c, 16);
    c = (c + b) | 0;
    b = ((b - a) | 0) ^ turn(a, 19);
    a = (a + c) | 0;
    c = ((c - b) | 0) ^ turn(b, 4);
    b = (b + a) | 0;
  }
  a = (a + word(at)) | 0;
  b = (b + word(at + 4)) | 0;
  c = (c + word(at + 8)) | 0;
  c = ((c ^ b) - turn(b, 14)) | 0;
  a = ((a ^ c) - turn(c, 11)) | 0;
  b = ((b ^ a) - turn(a, 25)) | 0;
  c = ((c ^ b) - turn(b, 16)) | 0;
  a = ((a ^ c) - turn(c, 4)) | 0;
  b = ((b ^ a) - turn(a, 14)) | 0;
  c = ((c ^ b) - turn(b, 24)) | 0;
  return c >>> 0;
}

/** An address as it is on the wire: 4 or 16 bytes. */
function bytesOf(address: string): Uint8Array {
  if (familyOf(address) !== "IPv6") return Uint8Array.from(address.split(".").map(Number));
  const [head = "", tail] = address.split("::");
  const groups = (text: string) => (text === "" ? [] : text.split(":").map((group) => Number.parseInt(group, 16)));
  const [before, after] = [groups(head), groups(tail ?? "")];
  const bytes = new Uint8Array(16);
  const put = (group: number, i: number): void => {
    bytes[2 * i] = group >> 8;
    bytes[2 * i + 1] = group & 0xff;
  };
  before.forEach(put);
  after.forEach((group, i) => put(group, 8 - after.length + i));
  return bytes;
}

/** FNV-1a. */
function textHash(text: string): number {
  let hash = 0x811c_9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x0100_0193);
  return scramble(hash);
}

/** The last step of MurmurHash3: every bit of the result depends on every bit of the number. */
function scramble(number: number): number {
  let hash = number ^ (number >>> 16);
  hash = Math.imul(hash, 0x85eb_ca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2_ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
