const form = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:[.,](\d+))?(Z|[+-]\d\d:\d\d)$/;

/** Milliseconds since the epoch that an RFC 3339 text says; undefined when it says none. */
export function parseTime(text: string): number | undefined {
  const match = form.exec(text);
  if (!match) return undefined;
  const [, year, month, day, hour, minute, second, , zone = "Z"] = match;
  const calendar = Date.UTC(Number(year), Number(month) - 1, Number(day));
  // Date.UTC rolls 30 February over to March; a real date comes back as it was.
  if (new Date(calendar).getUTCDate() !== Number(day) || Number(month) > 12 || Number(month) < 1) return undefined;
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) return undefined;
  const milliseconds = Math.trunc(Number(`0.${match[7] ?? 0}`) * 1000);
  const offset = zone === "Z" ? 0 : Number(`${zone[0]}1`) * (Number(zone.slice(1, 3)) * 60 + Number(zone.slice(4)));
  return calendar + ((Number(hour) * 60 + Number(minute) - offset) * 60 + Number(second)) * 1000 + milliseconds;
}

/** RFC 3339 in UTC with whole seconds, as `metav1.Time`. */
export const formatTime = (milliseconds: number): string => `${new Date(milliseconds).toISOString().slice(0, 19)}Z`;

/** RFC 3339 in UTC with microseconds, as `metav1.MicroTime`. */
export const formatMicroTime = (milliseconds: number): string =>
  `${new Date(milliseconds).toISOString().slice(0, 23)}000Z`;

/** The same instant in canonical form; undefined when the text is no time. `micro` keeps microseconds. */
export function canonicalTime(text: string, micro: boolean): string | undefined {
  const milliseconds = parseTime(text);
  if (milliseconds === undefined) return undefined;
  if (!micro) return formatTime(milliseconds);
  const fraction = (form.exec(text)?.[7] ?? "").slice(0, 6).padEnd(6, "0");
  return `${formatTime(milliseconds).slice(0, 19)}.${fraction}Z`;
}

const units: Record<string, number> = { ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Milliseconds of a duration as Go writes it (`1h30m`, `1.5s`); undefined when it is none. */
export function parseDuration(text: string): number | undefined {
  if (text === "0") return 0;
  const match = /^([-+]?)((?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|ms|s|m|h))+)$/.exec(text);
  if (!match) return undefined;
  let sum = 0;
  for (const [, amount, unit] of (match[2] ?? "").matchAll(/([\d.]+)([^\d.]+)/g))
    sum += Number(amount) * (units[unit ?? ""] ?? 0);
  return match[1] === "-" ? -sum : sum;
}
