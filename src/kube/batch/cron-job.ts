import { createStrategy } from "../base-strategy.ts";
import type { CronJobSpec } from "../generated/types.ts";
import { resources } from "../resource.ts";
import { fault, type Faults } from "../validation/fault.ts";
import { validateNonNegative } from "../validation/metadata.ts";
import { validateChoice } from "../validation/ports.ts";
import { defaultJobSpec, jobWarnings, nameWarnings, validateJobSpec } from "./job.ts";
import { parseSchedule } from "./schedule.ts";

/** A Job's name is the CronJob's with eleven characters after it. */
const maxNameLength = 52;

export const cronJobStrategy = createStrategy(resources.CronJob, {
  generationOf: (job) => job.spec,
  defaults({ spec }) {
    spec.concurrencyPolicy ||= "Allow";
    spec.suspend ??= false;
    spec.successfulJobsHistoryLimit ??= 3;
    spec.failedJobsHistoryLimit ??= 1;
    if (spec.jobTemplate.spec) defaultJobSpec(spec.jobTemplate.spec);
  },
  warnings: ({ metadata, spec }) => {
    const zone = spec.schedule.includes("TZ")
      ? [
          'spec.schedule: specifying timezone as part of the schedule is not officially supported and does not work reliably, use "timeZone" field instead',
        ]
      : [];
    const { spec: job } = spec.jobTemplate;
    return [...nameWarnings(metadata), ...zone, ...(job ? jobWarnings(job, "spec.jobTemplate.spec") : [])];
  },
  *validate({ metadata, spec }, _context, old) {
    yield* validateSpec(spec, old?.spec);
    const { name = "" } = metadata as Partial<typeof metadata>;
    if (!old && name.length > maxNameLength)
      yield fault.invalid("metadata.name", name, `must be no more than ${maxNameLength} characters`);
  },
});

function* validateSpec(spec: CronJobSpec, old: CronJobSpec | undefined): Faults {
  if (spec.schedule === "") yield fault.required("spec.schedule");
  else yield* validateSchedule(spec, old?.schedule.includes("TZ") ?? false);
  yield* validateNonNegative(spec.startingDeadlineSeconds, "spec.startingDeadlineSeconds");
  if (spec.timeZone !== undefined && spec.timeZone !== old?.timeZone) yield* validateTimeZone(spec.timeZone);
  yield* validateChoice(spec.concurrencyPolicy, ["Allow", "Forbid", "Replace"], "spec.concurrencyPolicy");
  const { spec: job } = spec.jobTemplate;
  const path = "spec.jobTemplate.spec";
  if (job) {
    yield* validateJobSpec(job, path);
    if (job.selector) yield fault.invalid(`${path}.selector`, job.selector, "`selector` will be auto-generated");
    if (job.manualSelector) yield fault.notSupported(`${path}.manualSelector`, true, ["nil", "false"]);
  }
  yield* validateNonNegative(spec.successfulJobsHistoryLimit, "spec.successfulJobsHistoryLimit");
  yield* validateNonNegative(spec.failedJobsHistoryLimit, "spec.failedJobsHistoryLimit");
}

function* validateSchedule({ schedule, timeZone }: CronJobSpec, zoneAllowed: boolean): Faults {
  const path = "spec.schedule";
  const parsed = parseSchedule(schedule);
  if ("error" in parsed) yield fault.invalid(path, schedule, parsed.error);
  if (!schedule.includes("TZ")) return;
  if (!zoneAllowed)
    yield fault.invalid(path, schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead");
  else if (timeZone !== undefined)
    yield fault.invalid(path, schedule, "cannot use both timeZone field and TZ or CRON_TZ in schedule");
}

function* validateTimeZone(zone: string): Faults {
  const path = "spec.timeZone";
  if (zone === "") {
    yield fault.invalid(path, zone, "timeZone must be nil or non-empty string");
    return;
  }
  const unknown = fault.invalid(path, zone, `unknown time zone ${zone}`);
  if (
    zone
      .split("/")
      .some((part) => part === "." || part === ".." || !/^[A-Za-z._0-9+][A-Za-z.\-_0-9+]{0,13}$/.test(part))
  ) {
    yield unknown;
    return;
  }
  if (zone.toLowerCase() === "local") {
    const text = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
    yield fault.invalid(path, zone, text);
  }
  if (zone !== "Local" && !isTimeZone(zone)) yield unknown;
}

function isTimeZone(zone: string): boolean {
  try {
    return new Intl.DateTimeFormat("en", { timeZone: zone }).resolvedOptions().timeZone !== "";
  } catch {
    return false;
  }
}
