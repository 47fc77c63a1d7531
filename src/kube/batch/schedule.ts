import { own } from "../values/equal.ts";

/** When a CronJob runs: the minutes, hours, days and months in which it does, or every so many milliseconds. */
export type Schedule =
  | {
      readonly type: "times";
      readonly minutes: ReadonlySet<number>;
      readonly hours: ReadonlySet<number>;
      /** Days of the month, from 1. A day counts when both kinds of days agree, or one of them if neither is `any`. */
      readonly days: ReadonlySet<number>;
      readonly anyDay: boolean;
      /** From 1. */
      readonly months: ReadonlySet<number>;
      /** Days of the week: Sunday is 0. */
      readonly weekdays: ReadonlySet<number>;
      readonly anyWeekday: boolean;
    }
  | { readonly type: "every"; readonly milliseconds: number };

/** Why a schedule cannot be read, in the words of the library that Kubernetes reads them with (robfig/cron). */
export interface ScheduleFault {
  readonly error: string;
}

interface Bounds {
  readonly low: number;
  readonly high: number;
  readonly names: readonly string[];
}

const monthNames = ["", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const dayNames = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const bounds: readonly Bounds[] = [
  { low: 0, high: 59, names: [] },
  { low: 0, high: 23, names: [] },
  { low: 1, high: 31, names: [] },
  { low: 1, high: 12, names: monthNames },
  { low: 0, high: 6, names: dayNames },
];

const descriptors: Readonly<Record<string, string>> = {
  "@yearly": "0 0 1 1 *",
  "@annually": "0 0 1 1 *",
  "@monthly": "0 0 1 * *",
  "@weekly": "0 0 * * 0",
  "@daily": "0 0 * * *",
  "@midnight": "0 0 * * *",
  "@hourly": "0 * * * *",
};

/** Reads a schedule of five fields (minute, hour, day, month, day of the week), or one like `@daily` or `@every 1h30m`. */
export function parseSchedule(text: string): Schedule | ScheduleFault {
  const spec = text.replace(/^(?:CRON_)?TZ=\S*\s+/, "");
  if (spec === "") return { error: "empty spec string" };
  if (spec.startsWith("@")) return parseDescriptor(spec);
  const fields = spec.split(/\s+/).filter((field) => field !== "");
  if (fields.length !== 5) return { error: `expected exactly 5 fields, found ${fields.length}: [${fields.join(" ")}]` };
  const parsed: Field[] = [];
  for (const [i, field] of fields.entries()) {
    const result = parseField(field, bounds[i] ?? { low: 0, high: 0, names: [] });
    if ("error" in result) return result;
    parsed.push(result);
  }
  const at = (i: number): Field => parsed[i] ?? { values: new Set(), any: false };
  return {
    type: "times",
    minutes: at(0).values,
    hours: at(1).values,
    days: at(2).values,
    anyDay: at(2).any,
    months: at(3).values,
    weekdays: at(4).values,
    anyWeekday: at(4).any,
  };
}

function parseDescriptor(spec: string): Schedule | ScheduleFault {
  const fields = own(descriptors, spec);
  if (fields !== undefined) return parseSchedule(fields);
  if (!spec.startsWith("@every ")) return { error: `unrecognized descriptor: ${spec}` };
  const duration = spec.slice("@every ".length);
  const milliseconds = parseGoDuration(duration);
  if (milliseconds === undefined)
    return { error: `failed to parse duration ${spec}: time: invalid duration ${JSON.stringify(duration)}` };
  // Not oftener than each second, and in whole ones.
  return { type: "every", milliseconds: Math.max(1000, Math.floor(milliseconds / 1000) * 1000) };
}

const units: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** A duration as Go writes it, `1h30m`, in milliseconds. */
function parseGoDuration(text: string): number | undefined {
  if (text === "0") return 0;
  const parts = [...text.matchAll(/(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)/g)];
  if (parts.length === 0 || parts.map(([part]) => part).join("") !== text.replace(/^[+-]/, "")) return undefined;
  const sum = parts.reduce((total, [, amount = "", unit = ""]) => total + Number(amount) * (units[unit] ?? 0), 0);
  return text.startsWith("-") ? -sum : sum;
}

interface Field {
  readonly values: ReadonlySet<number>;
  /** A star: any value will do. */
  readonly any: boolean;
}

function parseField(text: string, limits: Bounds): Field | ScheduleFault {
  const values = new Set<number>();
  let any = false;
  for (const part of text.split(",").filter((one) => one !== "")) {
    const range = parseRange(part, limits);
    if ("error" in range) return range;
    for (let value = range.first; value <= range.last; value += range.step) values.add(value);
    any ||= range.any;
  }
  return { values, any };
}

interface Range {
  readonly first: number;
  readonly last: number;
  readonly step: number;
  readonly any: boolean;
}

function parseRange(text: string, limits: Bounds): Range | ScheduleFault {
  const [interval = "", step, ...more] = text.split("/");
  const [low = "", high, ...others] = interval.split("-");
  const isStar = low === "*" || low === "?";
  if (!isStar && others.length > 0) return { error: `too many hyphens: ${text}` };
  const first = isStar ? limits.low : parseValue(low, limits.names);
  if (typeof first !== "number") return first;
  let last = isStar ? limits.high : high === undefined ? first : parseValue(high, limits.names);
  if (typeof last !== "number") return last;
  if (more.length > 0) return { error: `too many slashes: ${text}` };
  const by = step === undefined ? 1 : parseValue(step, []);
  if (typeof by !== "number") return by;
  // `5/10` is from 5 on.
  if (step !== undefined && high === undefined) last = limits.high;
  if (first < limits.low) return { error: `beginning of range (${first}) below minimum (${limits.low}): ${text}` };
  if (last > limits.high) return { error: `end of range (${last}) above maximum (${limits.high}): ${text}` };
  if (first > last) return { error: `beginning of range (${first}) beyond end of range (${last}): ${text}` };
  if (by === 0) return { error: `step of range should be a positive number: ${text}` };
  return { first, last, step: by, any: isStar && by === 1 };
}

function parseValue(text: string, names: readonly string[]): number | ScheduleFault {
  const named = text === "" ? -1 : names.indexOf(text.toLowerCase());
  if (named >= 0) return named;
  if (!/^[+-]?\d+$/.test(text))
    return { error: `failed to parse int from ${text}: strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax` };
  const value = Number(text);
  return value < 0 ? { error: `negative number (${value}) not allowed: ${text}` } : value;
}
