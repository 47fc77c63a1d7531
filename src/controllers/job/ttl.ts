import { startController, unless } from "../../client/index.ts";
import { findCondition, isJobFinished, type Job, keyOf, nameOfKey, parseTime, resources } from "../../kube/index.ts";
import type { Component } from "../../system/index.ts";
import type { ControllerContext } from "../context.ts";

/** A timer runs for so many milliseconds at most. */
const longest = 3_600_000;

/** When a finished Job is to go, in milliseconds since the epoch; undefined when it stays. */
export function expiryOf({ metadata, spec, status }: Job): number | undefined {
  if (spec.ttlSecondsAfterFinished === undefined || metadata.deletionTimestamp || !isJobFinished(status))
    return undefined;
  const finished = ["Complete", "Failed"].map((type) => findCondition(status?.conditions, type));
  const at = parseTime(finished.find((condition) => condition?.status === "True")?.lastTransitionTime ?? "");
  return at === undefined ? undefined : at + spec.ttlSecondsAfterFinished * 1000;
}

/** Removes Jobs, and what they own, when `ttlSecondsAfterFinished` has passed since their end. */
export function startJobExpiry(context: ControllerContext): Component {
  const { client, clock, informers } = context;
  const jobs = informers.of(resources.Job);
  const controller = startController({
    ...context,
    name: "ttl-after-finished",
    async reconcile(key) {
      const cached = jobs.get(nameOfKey(key));
      const due = cached && expiryOf(cached);
      if (due === undefined) return undefined;
      if (due > clock.now()) return { again: Math.min(due - clock.now(), longest) };
      // The cache may be old: the time may have been changed meanwhile.
      const job = await unless(client.get(resources.Job, nameOfKey(key)), "NotFound");
      const at = job && expiryOf(job);
      if (!job || at === undefined) return undefined;
      if (at > clock.now()) return { again: Math.min(at - clock.now(), longest) };
      const { uid = "", resourceVersion = "" } = job.metadata;
      const options = { propagationPolicy: "Foreground", preconditions: { uid, resourceVersion } } as const;
      await unless(client.delete(resources.Job, nameOfKey(key), options), "NotFound");
      return undefined;
    },
    after: [jobs.synced],
  });
  jobs.onChange(({ after }) => {
    if (after && expiryOf(after) !== undefined) controller.enqueue(keyOf(after));
  });
  return controller;
}
