import type { EventRecorder } from "../../client/index.ts";
import type { Pod } from "../../kube/index.ts";
import type { Clock } from "../../system/index.ts";
import type { RunHandler } from "../probes/handler.ts";
import type { ContainerRecord, Runtime } from "../runtime/runtime.ts";
import { fieldPathOf } from "./start-container.ts";

export interface StopTools {
  readonly runtime: Runtime;
  readonly recorder: EventRecorder;
  readonly runHandler: RunHandler;
  readonly clock: Clock;
}

/** However long preStop took, a container has this much after its stop signal. */
const leastGraceMs = 2_000;

/** Ends a container as its pod asks: preStop, stop signal, grace, kill. `pod` is undefined when the API has forgotten it. */
export async function stopContainer(
  pod: Pod | undefined,
  record: ContainerRecord,
  how: { readonly graceMs: number; readonly why: string; readonly address: string },
  { runtime, recorder, runHandler, clock }: StopTools,
): Promise<void> {
  const specs = [...(pod?.spec.initContainers ?? []), ...(pod?.spec.containers ?? [])];
  const spec = specs.find(({ name }) => name === record.name);
  if (!pod || !spec) return runtime.stopContainer(record.id, how.graceMs);
  const fieldPath = fieldPathOf(pod, spec);
  recorder.event(pod, "Normal", "Killing", how.why, { fieldPath });
  const begun = clock.now();
  const hook = spec.lifecycle?.preStop;
  if (hook && how.graceMs > 0) {
    const target = { pod, containerName: spec.name, containerId: record.id, address: how.address };
    const over = new AbortController();
    const run = hook.sleep
      ? clock.sleep(hook.sleep.seconds * 1000, over.signal).then(() => ({ ok: true, message: "" }))
      : runHandler(hook, target, how.graceMs);
    const timeout = clock.sleep(how.graceMs, over.signal).then(() => ({ ok: false, message: "it took too long" }));
    const result = await Promise.race([run, timeout]);
    over.abort();
    // Whichever lost the race ends by the abort.
    await Promise.allSettled([timeout, ...(hook.sleep ? [run] : [])]);
    if (!result.ok) {
      recorder.event(pod, "Warning", "FailedPreStopHook", `PreStopHook failed: ${result.message}`, { fieldPath });
    }
  }
  const left = how.graceMs - (clock.now() - begun);
  await runtime.stopContainer(record.id, Math.max(left, Math.min(leastGraceMs, how.graceMs)));
}
