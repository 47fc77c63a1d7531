import { StatusError } from "../../kube/index.ts";
import type { Metrics } from "../../system/index.ts";
import { askSteps, type Admission } from "../registry/index.ts";

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
    (request) => {
      const begun = performance.now();
      const tell = (rejected: boolean): void =>
        took(request.operation, String(rejected), type).observe((performance.now() - begun) / 1000);
      const failed = (error: unknown): never => {
        tell(error instanceof StatusError);
        throw error;
      };
      let waiting: Promise<void> | undefined;
      try {
        waiting = askSteps(steps, request);
      } catch (error) {
        return failed(error);
      }
      if (waiting) return waiting.then(() => tell(false), failed);
      tell(false);
      return undefined;
    },
  ];
}
