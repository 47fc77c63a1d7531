/** Seconds since 1970 and microseconds as nanoseconds of a time in RFC 3339. Throws TypeError for what is none. */
export function timestampOf(value: unknown): { seconds: number; nanos: number } {
  const seconds = typeof value === "string" ? Math.floor(Date.parse(value) / 1000) : NaN;
  if (Number.isNaN(seconds)) throw new TypeError(`${JSON.stringify(value)} is no time`);
  const fraction = /\.(\d+)/.exec(value as string)?.[1];
  return { seconds, nanos: fraction ? Number(fraction.slice(0, 6).padEnd(6, "0")) * 1000 : 0 };
}
