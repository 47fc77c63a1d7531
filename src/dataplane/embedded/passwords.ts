import { createHash, timingSafeEqual } from "node:crypto";
import type { Crypt } from "./system-crypt.ts";

/** Verdicts that are remembered, since some hashes take a while to work out. */
const most = 1024;

/**
 * True when a password belongs to an entry of an htpasswd file: `$apr1$` and `$1$` (MD5 in 1,000 rounds), `{SHA}`, `{SSHA}`, `{PLAIN}`.
 * `undefined` for those that only crypt(3) knows; others are never true.
 */
export function passwordFits(password: string, entry: string): boolean | undefined {
  const crypt = /^\$(apr1|1)\$([^$]{1,8})\$/.exec(entry);
  if (crypt) return same(md5Crypt(password, crypt[2] ?? "", `$${crypt[1]}$`), entry);
  if (entry.startsWith("{SHA}")) return same(createHash("sha1").update(password).digest("base64"), entry.slice(5));
  if (entry.startsWith("{PLAIN}")) return same(password, entry.slice(7));
  if (entry.startsWith("{SSHA}")) {
    const bytes = Buffer.from(entry.slice(6), "base64");
    const salted = createHash("sha1").update(password).update(bytes.subarray(20)).digest();
    return bytes.length > 20 && timingSafeEqual(salted, bytes.subarray(0, 20));
  }
  return isCryptEntry(entry) ? undefined : false;
}

/** What an entry may ask of crypt(3): work that ends soon. bcrypt costs 2^cost, SHA-2 its rounds; 13 letters are traditional DES. */
function isCryptEntry(entry: string): boolean {
  const [, cost] = /^\$2[aby]\$(\d\d)\$[./0-9A-Za-z]{53}$/.exec(entry) ?? [];
  if (cost !== undefined) return Number(cost) <= 14;
  const [, rounds = "5000"] = /^\$[56]\$(?:rounds=(\d{1,9})\$)?[^$:\s]{0,16}\$[./0-9A-Za-z]{43,86}$/.exec(entry) ?? [
    "",
  ];
  if (entry.startsWith("$5$") || entry.startsWith("$6$")) return rounds !== "" && Number(rounds) <= 500_000;
  return /^[./0-9A-Za-z]{13}$/.test(entry);
}

/** Whether a password belongs to an entry; later, where that is slow to tell. Never rejects. */
export type PasswordCheck = (password: string, entry: string) => boolean | Promise<boolean>;

/** `passwordFits`, with `crypt` for what it does not know, and remembering what was right. */
export function rememberingPasswords(crypt: Crypt): PasswordCheck {
  const right = new Set<string>();
  return (password, entry) => {
    // What is kept is of no use to whoever reads memory without the entry itself.
    const id = createHash("sha256").update(entry).update("\0").update(password).digest("base64");
    if (right.has(id)) return true;
    const remember = (fits: boolean): boolean => {
      if (!fits) return false;
      if (right.size >= most) right.clear();
      right.add(id);
      return true;
    };
    const known = passwordFits(password, entry);
    if (known !== undefined) return remember(known);
    return crypt(password, entry).then(
      (hash) => remember(hash !== undefined && same(hash, entry)),
      () => false,
    );
  };
}

function same(a: string, b: string): boolean {
  const [left, right] = [a, b].map((text) => createHash("sha256").update(text).digest()) as [Buffer, Buffer];
  return timingSafeEqual(left, right);
}

const alphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/** MD5-crypt, as Apache (`$apr1$`) and crypt(3) (`$1$`) have it. */
function md5Crypt(password: string, salt: string, magic: string): string {
  const key = Buffer.from(password, "utf8");
  const alternate = createHash("md5").update(key).update(salt).update(key).digest();
  const first = createHash("md5").update(key).update(magic).update(salt);
  for (let left = key.length; left > 0; left -= 16) first.update(alternate.subarray(0, Math.min(16, left)));
  for (let bits = key.length; bits > 0; bits >>= 1) first.update(bits & 1 ? Buffer.from([0]) : key.subarray(0, 1));
  let digest = first.digest();
  for (let round = 0; round < 1000; round++) {
    const next = createHash("md5").update(round & 1 ? key : digest);
    if (round % 3 !== 0) next.update(salt);
    if (round % 7 !== 0) next.update(key);
    digest = next.update(round & 1 ? digest : key).digest();
  }
  const at = (index: number): number => digest[index] ?? 0;
  const letters = (value: number, count: number): string =>
    Array.from({ length: count }, (_, i) => alphabet[(value >> (6 * i)) & 0x3f]).join("");
  const triples = [
    [0, 6, 12],
    [1, 7, 13],
    [2, 8, 14],
    [3, 9, 15],
    [4, 10, 5],
  ] as const;
  const text = triples.map(([a, b, c]) => letters((at(a) << 16) | (at(b) << 8) | at(c), 4)).join("");
  return `${magic}${salt}$${text}${letters(at(11), 2)}`;
}
