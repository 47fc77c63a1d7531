import { createStrategy } from "../base-strategy.ts";
import { podWarnings } from "../core/pod-warnings.ts";
import type { Deployment, DeploymentSpec, DeploymentStrategy } from "../generated/types.ts";
import { resources } from "../resource.ts";
import { fault, type Faults } from "../validation/fault.ts";
import { validateNonNegative } from "../validation/metadata.ts";
import {
  defaultTemplate,
  validateReplicas,
  validateSelectorUnchanged,
  validateSelectorAndTemplate,
} from "./pod-template.ts";
import { isZeroAmount, validateAmount, validateAtMostAll } from "./rolling-update.ts";

export const deploymentStrategy = createStrategy(resources.Deployment, {
  // Annotations are copied to the ReplicaSets of a Deployment, so they count.
  generationOf: ({ spec, metadata }) => [spec, metadata.annotations],
  defaults(deployment) {
    const spec = (deployment.spec ??= { template: {} } as DeploymentSpec);
    spec.replicas ??= 1;
    spec.revisionHistoryLimit ??= 10;
    spec.progressDeadlineSeconds ??= 600;
    const strategy = (spec.strategy ??= {});
    strategy.type ||= "RollingUpdate";
    if (strategy.type === "RollingUpdate") {
      strategy.rollingUpdate = { maxUnavailable: "25%", maxSurge: "25%", ...strategy.rollingUpdate };
    }
    defaultTemplate(spec);
  },
  statusKeeps: "labels",
  warnings: ({ spec }) => podWarnings(spec.template, "spec.template"),
  prepareForCreate(deployment) {
    deployment.status = {};
  },
  validate: validateDeployment,
  *validateStatus({ status = {} }) {
    const counts = [
      "replicas",
      "updatedReplicas",
      "readyReplicas",
      "availableReplicas",
      "unavailableReplicas",
    ] as const;
    for (const field of counts) yield* validateNonNegative(status[field], `status.${field}`);
    const { replicas = 0, readyReplicas = 0, availableReplicas = 0, updatedReplicas = 0 } = status;
    const more = "cannot be greater than status.replicas";
    if (updatedReplicas > replicas) yield fault.invalid("status.updatedReplicas", updatedReplicas, more);
    if (readyReplicas > replicas) yield fault.invalid("status.readyReplicas", readyReplicas, more);
    if (availableReplicas > replicas) yield fault.invalid("status.availableReplicas", availableReplicas, more);
    if (availableReplicas > readyReplicas) {
      yield fault.invalid("status.availableReplicas", availableReplicas, "cannot be greater than readyReplicas");
    }
  },
});

function* validateDeployment({ spec }: Deployment, _context: unknown, old?: Deployment): Faults {
  if (old) yield* validateSelectorUnchanged(spec.selector, old.spec.selector);
  yield* validateReplicas(spec);
  yield* validateSelectorAndTemplate(spec);
  yield* validateStrategy(spec.strategy ?? {});
  yield* validateNonNegative(spec.minReadySeconds, "spec.minReadySeconds");
  yield* validateNonNegative(spec.revisionHistoryLimit, "spec.revisionHistoryLimit");
  const deadline = spec.progressDeadlineSeconds;
  yield* validateNonNegative(deadline, "spec.progressDeadlineSeconds");
  if (deadline !== undefined && deadline <= (spec.minReadySeconds ?? 0)) {
    yield fault.invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds");
  }
}

function* validateStrategy(strategy: DeploymentStrategy): Faults {
  const { type = "", rollingUpdate } = strategy;
  const path = "spec.strategy";
  if (type === "Recreate") {
    if (rollingUpdate) {
      yield fault.forbidden(`${path}.rollingUpdate`, "may not be specified when strategy `type` is 'Recreate'");
    }
    return;
  }
  if (type !== "RollingUpdate") {
    yield fault.notSupported(path, strategy, ["Recreate", "RollingUpdate"]);
    return;
  }
  const { maxUnavailable = 0, maxSurge = 0 } = rollingUpdate ?? {};
  yield* validateAmount(maxUnavailable, `${path}.rollingUpdate.maxUnavailable`);
  yield* validateAmount(maxSurge, `${path}.rollingUpdate.maxSurge`);
  if (isZeroAmount(maxUnavailable) && isZeroAmount(maxSurge)) {
    yield fault.invalid(`${path}.rollingUpdate.maxUnavailable`, maxUnavailable, "may not be 0 when `maxSurge` is 0");
  }
  yield* validateAtMostAll(maxUnavailable, `${path}.rollingUpdate.maxUnavailable`);
}
