import type { EventRecorder } from "../client/index.ts";
import type { KubeObject } from "../kube/index.ts";
import { type Problem, textOf } from "../routing/index.ts";

/** Milliseconds a problem must last before it becomes an event: objects that are applied together arrive in any order. */
export const problemPatience = 1_000;

/** Answers a function that makes an event of each problem that was not there when it was last called. */
export function tellProblems(
  events: EventRecorder,
  objectOf: (of: Problem["object"]) => KubeObject | undefined,
): (problems: readonly Problem[]) => void {
  let told = new Set<string>();
  return (problems) => {
    const now = new Map<string, Problem>();
    for (const problem of problems)
      now.set(`${textOf(problem.object)} ${problem.field} ${problem.reason} ${problem.message}`, problem);
    for (const [id, { object, field, reason, message, remedy }] of now) {
      if (told.has(id)) continue;
      const about = objectOf(object);
      if (about) events.event(about, "Warning", reason, `${field}: ${message}. To mend it: ${remedy}`);
    }
    told = new Set(now.keys());
  };
}
