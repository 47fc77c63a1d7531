import { parseCidr, parseIp } from "../values/ip.ts";
import { compilePattern, type Pattern } from "../values/pattern.ts";
import type { JsonSchema } from "./json-schema.ts";

/** A format that strings are held to. */
export interface Format {
  /** As the schema names it. */
  readonly name: string;
  test(text: string): boolean;
}

type Test = (text: string) => boolean;

/** A test by a pattern without nested repetition: it takes linear time. */
const form =
  (pattern: RegExp): Test =>
  (text) =>
    pattern.test(text);
const isbn10 = form(/^(?:[0-9]{9}X|[0-9]{10})$/);
const isbn13 = form(/^[0-9]{13}$/);
const withoutSeparators = (text: string): string => text.replace(/[\s-]+/g, "");

const hostnamePattern =
  "^([a-zA-Z0-9\\p{S}\\p{L}]((-?[a-zA-Z0-9\\p{S}\\p{L}]{0,62})?)|([a-zA-Z0-9\\p{S}\\p{L}]" +
  "(([a-zA-Z0-9-\\p{S}\\p{L}]{0,61}[a-zA-Z0-9\\p{S}\\p{L}])?)(\\.)){1,}([a-zA-Z\\p{L}]){2,63})$";
const hostname = lazy(hostnamePattern);

function lazy(source: string): Test {
  let compiled: Pattern | undefined;
  return (text) => {
    compiled ??= compilePattern(source);
    return compiled.test(text);
  };
}

/** The formats that custom resources can name (apiextensions `supportedVersionedFormats`), by name without dashes. */
const formats: Readonly<Record<string, Test>> = {
  bsonobjectid: form(/^[0-9a-fA-F]{24}$/),
  uri: isRequestUri,
  email: isEmail,
  hostname: (text) =>
    Buffer.byteLength(text) <= 255 && text.split(".").every((part) => Buffer.byteLength(part) <= 63) && hostname(text),
  ipv4: (text) => text.includes(".") && parseIp(withoutLeadingZeros(text)) !== undefined,
  ipv6: (text) => text.includes(":") && parseIp(text) !== undefined,
  cidr: (text) => {
    const slash = text.lastIndexOf("/");
    const address = text.slice(0, slash);
    return slash > 0 && parseCidr(`${withoutLeadingZeros(address)}${text.slice(slash)}`) !== undefined;
  },
  mac: isMac,
  uuid: form(/^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i),
  uuid3: form(/^[0-9a-f]{8}-?[0-9a-f]{4}-?3[0-9a-f]{3}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i),
  uuid4: form(/^[0-9a-f]{8}-?[0-9a-f]{4}-?4[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$/i),
  uuid5: form(/^[0-9a-f]{8}-?[0-9a-f]{4}-?5[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$/i),
  isbn: (text) => isIsbn10(text) || isIsbn13(text),
  isbn10: isIsbn10,
  isbn13: isIsbn13,
  creditcard: isCreditCard,
  ssn: form(/^\d{3}[- ]?\d{2}[- ]?\d{4}$/),
  hexcolor: form(/^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$/),
  rgbcolor: isRgbColor,
  byte: (text) => form(/^[A-Za-z0-9+/]+={0,2}$/)(text) && text.length % 4 === 0,
  password: () => true,
  date: isDate,
  duration: isDuration,
  datetime: isDateTime,
  k8sshortname: (text) => text.length <= 63 && form(/^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?$/)(text),
  k8slongname: (text) =>
    text.length <= 253 && text.split(".").every((part) => form(/^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?$/)(part)),
};

/** The format that strings of a schema are held to; undefined for none, and for one that is not known, which is no more than a remark. */
export function formatOf({ format, type }: JsonSchema): Format | undefined {
  if (!format || (type && type !== "string")) return undefined;
  const name = format.replaceAll("-", "");
  const test = Object.hasOwn(formats, name) ? formats[name] : undefined;
  return test && { name: format, test };
}

/** True for a format that values of the schema are held to or that says how wide a number is. */
export function isKnownFormat(schema: JsonSchema): boolean {
  const { format = "", type } = schema;
  if (type === "integer") return format === "int32" || format === "int64";
  if (type === "number") return format === "float" || format === "double";
  return formatOf(schema) !== undefined;
}

/** Go's `net.ParseIP` of old took leading zeros. */
function withoutLeadingZeros(text: string): string {
  return text.includes(":") ? text : text.replace(/(^|\.)0+(?=\d)/g, "$1");
}

/** As Go's `url.ParseRequestURI`: an absolute URI or an absolute path. */
function isRequestUri(text: string): boolean {
  // oxlint-disable-next-line no-control-regex
  if (text === "" || /[\u0000-\u0020\u007f]/.test(text) || /%(?![0-9a-fA-F]{2})/.test(text)) return false;
  if (text.startsWith("/")) return true;
  const scheme = /^[A-Za-z][A-Za-z0-9+.-]*:/.exec(text)?.[0];
  if (scheme === undefined) return false;
  const rest = text.slice(scheme.length);
  if (!rest.startsWith("//")) return true;
  const authority = /^[^/?#]*/.exec(rest.slice(2))?.[0] ?? "";
  const host = authority.slice(authority.lastIndexOf("@") + 1);
  return host.startsWith("[") ? /^\[[^\]]+\](:\d*)?$/.test(host) : /^[^:[\]<>"\\^`{|}]*(:\d*)?$/.test(host);
}

/** An address alone or after a name, as RFC 5322 has it in its common forms. */
function isEmail(text: string): boolean {
  if (text.length > 1024) return false;
  const named = /^[^<>]*<([^<>]+)>\s*$/.exec(text);
  const address = (named?.[1] ?? text).trim();
  const sign = address.lastIndexOf("@");
  if (sign <= 0) return false;
  const [local, domain] = [address.slice(0, sign), address.slice(sign + 1)];
  const isAtom = (part: string): boolean => /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\uffff-]+$/.test(part);
  const isLocal = /^"(?:[^"\\]|\\.)*"$/.test(local) || local.split(".").every(isAtom);
  return isLocal && (/^\[[^[\]]+\]$/.test(domain) || domain.split(".").every(isAtom));
}

/** As Go's `net.ParseMAC`: 6, 8 or 20 bytes. */
function isMac(text: string): boolean {
  const bytes = /^[0-9a-f]{4}\./i.test(text)
    ? text.split(".").flatMap((part) => (/^[0-9a-f]{4}$/i.test(part) ? [part.slice(0, 2), part.slice(2)] : [""]))
    : text.split(text[2] === "-" ? "-" : ":");
  return [6, 8, 20].includes(bytes.length) && bytes.every((byte) => /^[0-9a-f]{2}$/i.test(byte));
}

function isIsbn10(text: string): boolean {
  const digits = withoutSeparators(text);
  if (!isbn10(digits)) return false;
  const sum = Array.from(digits).reduce((all, digit, i) => all + (i + 1) * (digit === "X" ? 10 : Number(digit)), 0);
  return sum % 11 === 0;
}

function isIsbn13(text: string): boolean {
  const digits = withoutSeparators(text);
  if (!isbn13(digits)) return false;
  return Array.from(digits).reduce((all, digit, i) => all + (i % 2 === 0 ? 1 : 3) * Number(digit), 0) % 10 === 0;
}

const cards =
  /^(?:4\d{12}(?:\d{3})?|5[1-5]\d{14}|6(?:011|5\d\d)\d{12}|3[47]\d{13}|3(?:0[0-5]|[68]\d)\d{11}|(?:2131|1800|35\d{3})\d{11})$/;

function isCreditCard(text: string): boolean {
  const digits = text.replace(/[^0-9]+/g, "");
  if (!cards.test(digits)) return false;
  const sum = Array.from(digits)
    .reverse()
    .reduce((all, digit, i) => {
      const value = Number(digit) * (i % 2 === 0 ? 1 : 2);
      return all + (value > 9 ? value - 9 : value);
    }, 0);
  return sum % 10 === 0;
}

function isRgbColor(text: string): boolean {
  const parts = /^rgb\(([\d\s,]*)\)$/.exec(text)?.[1]?.split(",") ?? [];
  return parts.length === 3 && parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part.trim()) && Number(part) <= 255);
}

function isDate(text: string): boolean {
  const match = /^(\d{4})-(\d{2})-(\d{2})$/.exec(text);
  if (!match) return false;
  const [year, month, day] = [Number(match[1]), Number(match[2]), Number(match[3])];
  const leap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;
  const days = [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1];
  return days !== undefined && day >= 1 && day <= days;
}

function isDateTime(text: string): boolean {
  const [date = "", time] = text.toLowerCase().split("t");
  if (time === undefined || !isDate(date)) return false;
  const match = /^([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.[0-9]+)?(?:z|[+-][0-9]{2}:?[0-9]{2})?$/.exec(time);
  return match !== null && Number(match[1]) <= 23 && Number(match[2]) <= 59 && Number(match[3]) <= 59;
}

const units = /^(?:ns|us|µs|μs|ms|s|m|h|d|w|nano.*|micro.*|milli.*|sec.*|min.*|hr|hour.*|day.*|wk|week.*)$/i;

/** As Go's `time.ParseDuration`, or amounts with units in words such as "3 days". */
function isDuration(text: string): boolean {
  if (text.length > 1024) return false;
  if (/^[+-]?(?:0|(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)$/.test(text)) return true;
  return [...text.matchAll(/\d+\s*([A-Za-zµ]+)/g)].some(([, unit = ""]) => units.test(unit));
}
