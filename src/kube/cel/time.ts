import { withinTime } from "./arithmetic.ts";
import { durationOf, fail, type DurationValue, type TimestampValue } from "./values.ts";

const second = 1_000_000_000n;
const units: Readonly<Record<string, bigint>> = {
  h: 3600n * second,
  m: 60n * second,
  s: second,
  ms: 1_000_000n,
  us: 1000n,
  µs: 1000n,
  μs: 1000n,
  ns: 1n,
};

/** Reads a duration as Go's `time.ParseDuration`: `1h30m`, `-1.5s`. Undefined when it is none. */
export function readDuration(text: string): DurationValue | undefined {
  const sign = /^[+-]/.exec(text)?.[0] ?? "";
  const rest = text.slice(sign.length);
  if (rest === "0") return durationOf(0n);
  if (rest.length > 128 || !/^(?:(?:\d+(?:\.\d*)?|\.\d+)(?:h|ms|m|s|us|µs|μs|ns))+$/.test(rest)) return undefined;
  let nanos = 0n;
  for (const [, whole = "", fraction = "", unit = ""] of rest.matchAll(/(\d*)\.?(\d*)(h|ms|m|s|us|µs|μs|ns)/g)) {
    const size = units[unit] ?? 0n;
    nanos += BigInt(whole || "0") * size + (BigInt(fraction || "0") * size) / 10n ** BigInt(fraction.length);
  }
  if (nanos > 2n ** 63n - 1n) return undefined;
  return durationOf(sign === "-" ? -nanos : nanos);
}

/** As Go's `Duration.String` in seconds, which is CEL's `string(duration)`: `90s`, `1.5s`. */
export function formatDuration({ nanos }: DurationValue): string {
  const absolute = nanos < 0n ? -nanos : nanos;
  const fraction = (absolute % second).toString().padStart(9, "0").replace(/0+$/, "");
  return `${nanos < 0n ? "-" : ""}${absolute / second}${fraction ? `.${fraction}` : ""}s`;
}

/** Reads an RFC 3339 time to the nanosecond; undefined when it is none, or none that CEL has (years 1 to 9999). */
export function readTimestamp(text: string): TimestampValue | undefined {
  const match = /^(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:[.,](\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))$/.exec(text);
  if (!match) return undefined;
  const [, year, month, day, hour, minute, seconds, fraction = "", sign, offsetHours = "0", offsetMinutes = "0"] =
    match;
  const date = utc(Number(year), Number(month), Number(day));
  if (date === undefined || Number(hour) > 23 || Number(minute) > 59 || Number(seconds) > 59) return undefined;
  if (Number(offsetHours) > 23 || Number(offsetMinutes) > 59) return undefined;
  const offset = (Number(offsetHours) * 60 + Number(offsetMinutes)) * (sign === "-" ? -60 : 60);
  const time = date / 1000 + Number(hour) * 3600 + Number(minute) * 60 + Number(seconds) - offset;
  return withinTime(BigInt(time) * second + BigInt(fraction.slice(0, 9).padEnd(9, "0")));
}

/** Reads `YYYY-MM-DD`, the OpenAPI format `date`. */
export function readDate(text: string): TimestampValue | undefined {
  const match = /^(\d{4})-(\d\d)-(\d\d)$/.exec(text);
  const date = match && utc(Number(match[1]), Number(match[2]), Number(match[3]));
  return date === undefined || date === null ? undefined : withinTime(BigInt(date) * 1_000_000n);
}

/** Milliseconds of midnight; undefined when there is no such day. `Date.UTC` takes years below 100 for the last century. */
function utc(year: number, month: number, day: number): number | undefined {
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === day && month > 0 ? date.getTime() : undefined;
}

export function formatTimestamp({ nanos }: TimestampValue): string {
  const fraction = positiveRemainder(nanos, second);
  const text = new Date(Number((nanos - fraction) / 1_000_000n)).toISOString().slice(0, 19);
  const digits = fraction.toString().padStart(9, "0").replace(/0+$/, "");
  return `${text}${digits ? `.${digits}` : ""}Z`;
}

function positiveRemainder(value: bigint, by: bigint): bigint {
  const rest = value % by;
  return rest < 0n ? rest + by : rest;
}

/** The parts of a time as they are in a zone: a name of the IANA data base, or `+02:00`; absent is UTC. */
export function partsOf(time: TimestampValue, zone: string | undefined): Date {
  const milliseconds = Number((time.nanos - positiveRemainder(time.nanos, 1_000_000n)) / 1_000_000n);
  return new Date(milliseconds + (zone === undefined ? 0 : offsetOf(zone, milliseconds)));
}

function offsetOf(zone: string, milliseconds: number): number {
  const fixed = /^([+-]?)(\d{1,2}):(\d\d)$/.exec(zone);
  if (fixed) return (Number(fixed[2]) * 60 + Number(fixed[3])) * (fixed[1] === "-" ? -60_000 : 60_000);
  if (zone === "UTC" || zone === "") return 0;
  let format: Intl.DateTimeFormat;
  try {
    format = new Intl.DateTimeFormat("en-US", {
      timeZone: zone,
      hourCycle: "h23",
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
      second: "numeric",
    });
  } catch {
    return fail(`unknown time zone ${zone}`);
  }
  const parts = Object.fromEntries(format.formatToParts(milliseconds).map(({ type, value }) => [type, Number(value)]));
  const there = Date.UTC(
    parts["year"] ?? 0,
    (parts["month"] ?? 1) - 1,
    parts["day"],
    parts["hour"],
    parts["minute"],
    parts["second"],
  );
  return there - Math.floor(milliseconds / 1000) * 1000;
}
