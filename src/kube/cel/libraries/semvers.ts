import { traversal } from "../cost.ts";
import { define, type Overload } from "../functions.ts";
import { fail, type OpaqueValue } from "../values.ts";

const type = "kubernetes.Semver";

interface Semver {
  readonly numbers: readonly [bigint, bigint, bigint];
  readonly pre: readonly string[];
}

const maxLength = 256;
const maxNumber = 2n ** 64n - 1n;

/** Semantic Versioning 2.0. With `normalize`, `v1.2` is 1.2.0 and leading zeros are dropped. */
function read(text: string, normalize = false): Semver | undefined {
  const cleaned = normalize ? normalized(text) : text;
  const match =
    /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?$/.exec(
      cleaned,
    );
  if (!match || cleaned.length > maxLength) return undefined;
  const [, major = "0", minor = "0", patch = "0", pre] = match;
  const identifiers = pre?.split(".") ?? [];
  if (identifiers.some((part) => /^0\d+$/.test(part))) return undefined;
  const numbers = [BigInt(major), BigInt(minor), BigInt(patch)] as const;
  return numbers.some((number) => number > maxNumber) ? undefined : { numbers, pre: identifiers };
}

function normalized(text: string): string {
  const bare = text.trim().replace(/^v/, "");
  const end = /[+-]/.exec(bare)?.index ?? bare.length;
  const parts = bare.slice(0, end).split(".");
  if (parts.length > 3 || !parts.every((part) => /^\d+$/.test(part))) return bare;
  while (parts.length < 3) parts.push("0");
  return parts.map((part) => part.replace(/^0+(?=\d)/, "")).join(".") + bare.slice(end);
}

function compare(a: Semver, b: Semver): number {
  for (let i = 0; i < 3; i++) {
    const [left = 0n, right = 0n] = [a.numbers[i], b.numbers[i]];
    if (left !== right) return left < right ? -1 : 1;
  }
  if (a.pre.length === 0 || b.pre.length === 0) return Math.sign(b.pre.length - a.pre.length);
  for (let i = 0; i < Math.max(a.pre.length, b.pre.length); i++) {
    const [left, right] = [a.pre[i], b.pre[i]];
    if (left === undefined || right === undefined) return left === undefined ? -1 : 1;
    if (left === right) continue;
    const [leftNumber, rightNumber] = [/^\d+$/.test(left), /^\d+$/.test(right)];
    if (leftNumber !== rightNumber) return leftNumber ? -1 : 1;
    if (leftNumber) return BigInt(left) < BigInt(right) ? -1 : 1;
    return left < right ? -1 : 1;
  }
  return 0;
}

const semverOf = ({ content }: OpaqueValue): Semver => content as Semver;
const order = (a: OpaqueValue, b: OpaqueValue): number => compare(semverOf(a), semverOf(b));

function parse(text: string, normalize = false): OpaqueValue {
  const content = read(text, normalize);
  if (!content) return fail(`semver parse error during conversion from string: ${JSON.stringify(text)} is no version`);
  return { kind: "opaque", type, content, equals: (other) => compare(semverOf(other), content) === 0 };
}
const isSemver = (text: string, normalize = false): boolean => read(text, normalize) !== undefined;
const number = (name: string, place: 0 | 1 | 2): Overload =>
  define(name, `${type}.() int`, (value: OpaqueValue) => semverOf(value).numbers[place]);

export const semvers: readonly Overload[] = [
  define("semver", `(string) ${type}`, parse, traversal()),
  define("semver", `(string, bool) ${type}`, parse, traversal(2)),
  define("isSemver", "(string) bool", isSemver, traversal()),
  define("isSemver", "(string, bool) bool", isSemver, traversal(2)),
  number("major", 0),
  number("minor", 1),
  number("patch", 2),
  define("isGreaterThan", `${type}.(${type}) bool`, (a: OpaqueValue, b: OpaqueValue) => order(a, b) > 0),
  define("isLessThan", `${type}.(${type}) bool`, (a: OpaqueValue, b: OpaqueValue) => order(a, b) < 0),
  define("compareTo", `${type}.(${type}) int`, (a: OpaqueValue, b: OpaqueValue) => BigInt(order(a, b))),
];
