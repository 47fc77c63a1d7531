const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;
const year = 365 * day;

/** Milliseconds as kubectl writes ages: two or three significant figures, as apimachinery's `duration.HumanDuration`. */
export function humanDuration(ms: number): string {
  // A clock that is a second behind is no error.
  if (ms <= -2 * second) return "<invalid>";
  if (ms < 0) return "0s";
  if (ms < 2 * minute) return `${count(ms, second)}s`;
  if (ms < 10 * minute) return two(ms, minute, "m", second, "s");
  if (ms < 3 * hour) return `${count(ms, minute)}m`;
  if (ms < 8 * hour) return two(ms, hour, "h", minute, "m");
  if (ms < 2 * day) return `${count(ms, hour)}h`;
  if (ms < 8 * day) return two(ms, day, "d", hour, "h");
  if (ms < 2 * year) return `${count(ms, day)}d`;
  if (ms < 8 * year) return two(ms, year, "y", day, "d");
  return `${count(ms, year)}y`;
}

function count(ms: number, unit: number): number {
  return Math.floor(ms / unit);
}

function two(ms: number, large: number, largeName: string, small: number, smallName: string): string {
  const rest = count(ms % large, small);
  return `${count(ms, large)}${largeName}${rest > 0 ? `${rest}${smallName}` : ""}`;
}

/** How long ago `time` (RFC 3339) was. */
export function since(time: string | null | undefined, now: number): string {
  return time ? humanDuration(now - Date.parse(time)) : "<unknown>";
}
