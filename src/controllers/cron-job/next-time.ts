import type { Schedule } from "../../kube/index.ts";

/** Gives the wall clock of a time zone at a moment, in milliseconds since the epoch. */
export type WallClock = (at: number) => Wall;

interface Wall {
  readonly month: number;
  readonly day: number;
  readonly weekday: number;
  readonly hour: number;
  readonly minute: number;
}

const minute = 60_000;
const hour = 60 * minute;
const weekdays = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
/** Years that are looked through: a 29 February comes eight years later at most. */
const years = 9;

/** The wall clock of an IANA time zone; of this machine without one. Throws RangeError for a zone that is unknown. */
export function wallClock(timeZone: string | undefined): WallClock {
  const format = new Intl.DateTimeFormat("en-US", {
    ...(timeZone === undefined ? {} : { timeZone }),
    hourCycle: "h23",
    month: "numeric",
    day: "numeric",
    weekday: "short",
    hour: "numeric",
    minute: "numeric",
  });
  return (at) => {
    const parts = Object.fromEntries(format.formatToParts(at).map(({ type, value }) => [type, value]));
    return {
      month: Number(parts["month"]),
      day: Number(parts["day"]),
      weekday: weekdays.indexOf(parts["weekday"] ?? ""),
      hour: Number(parts["hour"]),
      minute: Number(parts["minute"]),
    };
  };
}

/** The first time of a schedule after `after` (milliseconds since the epoch); undefined when it has none. */
export function nextTime(schedule: Schedule, clock: WallClock, after: number): number | undefined {
  if (schedule.type === "every") return Math.floor(after / 1000) * 1000 + schedule.milliseconds;
  const end = after + years * 366 * 24 * hour;
  let at = Math.floor(after / minute) * minute + minute;
  while (at < end) {
    const wall = clock(at);
    if (!schedule.months.has(wall.month) || !isDay(schedule, wall)) at = nextDay(clock, at, wall);
    else if (!schedule.hours.has(wall.hour)) at += (60 - wall.minute) * minute;
    else if (schedule.minutes.has(wall.minute)) return at;
    else {
      const later = [...schedule.minutes].filter((one) => one > wall.minute);
      at += ((later.length > 0 ? Math.min(...later) : 60) - wall.minute) * minute;
    }
  }
  return undefined;
}

function isDay(schedule: Extract<Schedule, { type: "times" }>, { day, weekday }: Wall): boolean {
  const [ofMonth, ofWeek] = [schedule.days.has(day), schedule.weekdays.has(weekday)];
  return schedule.anyDay || schedule.anyWeekday ? ofMonth && ofWeek : ofMonth || ofWeek;
}

/** The first moment of the next day, where days have 23 to 25 hours. */
function nextDay(clock: WallClock, at: number, wall: Wall): number {
  let next = at + (24 - wall.hour) * hour - wall.minute * minute;
  const there = clock(next);
  if (there.day === wall.day) return next + (24 - there.hour) * hour - there.minute * minute;
  // A day that was shorter than it seemed: go back to where it begins.
  while (next - hour > at && clock(next - hour).day === there.day) next -= hour;
  return next;
}

/** Spans before now in which the last time of a schedule is looked for, shortest first: few of the times in them are looked at. */
const spans = [minute, hour, 24 * hour, 32 * 24 * hour, 367 * 24 * hour];

/** The last time of a schedule after `earliest` and not after `now`, and whether so many were missed that something is wrong. */
export function lastTime(
  schedule: Schedule,
  clock: WallClock,
  earliest: number,
  now: number,
): { readonly at: number; readonly tooMany: boolean } | undefined {
  const first = nextTime(schedule, clock, earliest);
  if (first === undefined || first > now) return undefined;
  if (schedule.type === "every") {
    const missed = Math.floor((now - first) / schedule.milliseconds);
    return { at: first + missed * schedule.milliseconds, tooMany: missed > missedLimit };
  }
  let at = first;
  for (const span of spans) {
    if (now - span < first) break;
    const found = nextTime(schedule, clock, now - span);
    if (found === undefined || found > now) continue;
    at = found;
    break;
  }
  const second = nextTime(schedule, clock, first);
  const tooMany = second !== undefined && second <= now && (now - first) / (second - first) > missedLimit;
  for (
    let next = nextTime(schedule, clock, at);
    next !== undefined && next <= now;
    next = nextTime(schedule, clock, at)
  )
    at = next;
  return { at, tooMany };
}

const missedLimit = 100;
