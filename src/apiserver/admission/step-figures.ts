import { StatusError } from "../../kube/index.ts";
import type { Metrics } from "../../system/index.ts";
import type { Admission } from "../registry/index.ts";

/** Upper bounds in seconds, as upstream. */
const buckets = [0.005, 0.025, 0.1, 0.5, 1, 2.5];

/** Makes one step of many that is timed as a whole, under the name that kube-apiserver has. */
export function createStepFigures(metrics: Metrics) {
  const took = metrics.histogram(
    "apiserver_admission_step_admission_duration_seconds",
    "Time that all steps of a kind took for one request, webhooks among them.",
    ["operation", "rejected", "type"],
    buckets,
  );
  return (type: "admit" | "validate", steps: readonly Admission[]): readonly Admission[] => [
    async (request) => {
      const begun = performance.now();
      let rejected = "false";
      try {
        for (const step of steps) {
          const waiting = step(request);
          // Most steps have nothing to say to most requests: they cost no turn of the event loop.
          if (waiting) await waiting;
        }
      } catch (error) {
        if (error instanceof StatusError) rejected = "true";
        throw error;
      } finally {
        took(request.operation, rejected, type).observe((performance.now() - begun) / 1000);
      }
    },
  ];
}
