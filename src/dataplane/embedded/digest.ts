import { createHash, createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { canonicalPath } from "../../routing/index.ts";
import type { Clock } from "../../system/index.ts";

/** A request as far as digest authentication looks at it. */
export interface DigestRequest {
  readonly realm: string;
  readonly method: string;
  /** Canonical. */
  readonly path: string;
  /** With its question mark, or "". */
  readonly query: string;
  /** Authorization header. */
  readonly field: string | undefined;
}

/** `stale`: the answer was right, but to a question that is too old. */
export type DigestVerdict = "known" | { readonly nonce: string; readonly stale: boolean };

export interface Digests {
  /** `users`: by name, `REALM:HASH` with the MD5 of `NAME:REALM:PASSWORD`. */
  check(users: ReadonlyMap<string, string>, request: DigestRequest): DigestVerdict;
}

/** Milliseconds for which a nonce is good. */
const lifetime = 5 * 60_000;
/** Nonces whose counts are remembered; beyond it the oldest is forgotten. */
const mostNonces = 4_096;
/** Counts of one nonce that may come out of order. */
const window = 256;

interface Counts {
  highest: number;
  readonly seen: Set<number>;
}

/**
 * Digest authentication (RFC 7616 with MD5, for which alone htdigest has hashes). A nonce is its time, some random bytes and a MAC
 * whose key comes from the users' hashes: every process that has the Secret takes those of the others.
 */
export function createDigests(clock: Clock): Digests {
  const keys = new WeakMap<ReadonlyMap<string, string>, Buffer>();
  const counts = new Map<string, Counts>();

  function keyOf(users: ReadonlyMap<string, string>): Buffer {
    let key = keys.get(users);
    if (!key) {
      // Nobody can guess it who does not know the hashes; without users nobody is let in anyway.
      const hash = createHash("sha256");
      for (const [name, entry] of users) hash.update(`${name}\0${entry}\0`);
      keys.set(users, (key = hash.digest()));
    }
    return key;
  }

  const macOf = (users: ReadonlyMap<string, string>, text: string): string =>
    createHmac("sha256", keyOf(users)).update(text).digest("base64url");

  function nonceFor(users: ReadonlyMap<string, string>): string {
    const text = `${clock.now().toString(36)}.${randomBytes(9).toString("base64url")}`;
    return `${text}.${macOf(users, text)}`;
  }

  /** Age of a nonce of ours in milliseconds; `undefined` for any other. */
  function ageOf(users: ReadonlyMap<string, string>, nonce: string): number | undefined {
    const [time = "", random = "", mac = ""] = nonce.split(".");
    if (!same(mac, macOf(users, `${time}.${random}`))) return undefined;
    return clock.now() - Number.parseInt(time, 36);
  }

  /** True the first time a count comes with a nonce. */
  function isNew(nonce: string, count: number): boolean {
    let known = counts.get(nonce);
    if (!known) {
      const [oldest] = counts.size >= mostNonces ? counts.keys() : [];
      if (oldest !== undefined) counts.delete(oldest);
      counts.set(nonce, (known = { highest: 0, seen: new Set() }));
    }
    if (known.seen.has(count) || count <= known.highest - window) return false;
    known.seen.add(count);
    known.highest = Math.max(known.highest, count);
    for (const each of known.seen) {
      if (known.seen.size <= window) break;
      known.seen.delete(each);
    }
    return true;
  }

  return {
    check(users, request) {
      const unknown = (stale = false): DigestVerdict => ({ nonce: nonceFor(users), stale });
      const given = request.field === undefined ? undefined : readFields(request.field);
      if (!given) return unknown();
      const { username = "", realm, nonce = "", uri = "", response = "", qop, nc = "", cnonce = "" } = given;
      if (realm !== request.realm || qop !== "auth" || !/^[0-9a-f]{8}$/i.test(nc) || cnonce === "") return unknown();
      if ((given["algorithm"] ?? "MD5").toUpperCase() !== "MD5" || !isSameTarget(uri, request)) return unknown();
      const entry = users.get(username) ?? "";
      const colon = entry.lastIndexOf(":");
      if (entry.slice(0, colon) !== realm || !/^[0-9a-f]{32}$/i.test(entry.slice(colon + 1))) return unknown();
      const age = ageOf(users, nonce);
      if (age === undefined) return unknown();
      const first = entry.slice(colon + 1).toLowerCase();
      const wanted = md5(`${first}:${nonce}:${nc}:${cnonce}:${qop}:${md5(`${request.method}:${uri}`)}`);
      if (!same(wanted, response.toLowerCase())) return unknown();
      if (age < 0 || age > lifetime || !isNew(nonce, Number.parseInt(nc, 16))) return unknown(true);
      return "known";
    },
  };
}

const md5 = (text: string): string => createHash("md5").update(text).digest("hex");

function same(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}

/** An answer is good for the target that it was made for only. */
function isSameTarget(uri: string, { path, query }: DigestRequest): boolean {
  const target = uri.replace(/^https?:\/\/[^/?]*/i, "");
  const mark = target.indexOf("?");
  const canonical = canonicalPath(mark < 0 ? target : target.slice(0, mark));
  const merged = (text: string): string => text.replaceAll(/\/{2,}/g, "/");
  return (
    typeof canonical === "string" &&
    merged(canonical) === merged(path) &&
    (mark < 0 ? "" : target.slice(mark)) === query
  );
}

/** The fields of a header `Digest name=value, name="value"`; `undefined` when it is none, or says a thing twice. */
function readFields(header: string): Record<string, string> | undefined {
  if (!/^digest /i.test(header)) return undefined;
  const fields: Record<string, string> = Object.create(null) as Record<string, string>;
  const pattern = /\s*([a-z0-9*-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))\s*(?:,|$)/iy;
  pattern.lastIndex = "digest ".length;
  while (pattern.lastIndex < header.length) {
    const found = pattern.exec(header);
    if (!found) return undefined;
    const name = (found[1] ?? "").toLowerCase();
    if (name in fields) return undefined;
    fields[name] = found[2] === undefined ? (found[3] ?? "") : found[2].replaceAll(/\\(.)/g, "$1");
  }
  return fields;
}
