import type { Container, Draft, Job, Pod } from "../../kube/index.ts";
import { resources } from "../../kube/index.ts";
import { podDraft } from "../pod-draft.ts";
import { failureCountAnnotation, ignoredFailureCountAnnotation, indexAnnotation, trackingFinalizer } from "./pods.ts";
import { failuresWith } from "./scale.ts";

const indexVariable = "JOB_COMPLETION_INDEX";

/** The part of a name that a pod's own five letters follow at most. */
const mostName = 63 - 5;

/** A pod of a Job; of an indexed one it knows its index, and how often that has failed. */
export function jobPod(job: Job, { index, after }: { index?: number; after?: Pod }): Draft<Pod> {
  const draft = podDraft(job, resources.Job, job.spec.template);
  const { metadata, spec } = draft;
  const finalizers = [...new Set([...(metadata.finalizers ?? []), trackingFinalizer])];
  if (index === undefined) return { ...draft, metadata: { ...metadata, finalizers } };
  const { counted, ignored } = after ? failuresWith(job, after) : { counted: 0, ignored: 0 };
  const perIndex = job.spec.backoffLimitPerIndex !== undefined;
  const annotations = {
    ...metadata.annotations,
    [indexAnnotation]: String(index),
    ...(perIndex ? { [failureCountAnnotation]: String(counted) } : {}),
    ...(perIndex && ignored > 0 ? { [ignoredFailureCountAnnotation]: String(ignored) } : {}),
  };
  const suffix = `-${index}-`;
  return {
    ...draft,
    metadata: {
      ...metadata,
      generateName: job.metadata.name.slice(0, mostName - suffix.length) + suffix,
      labels: { ...metadata.labels, [indexAnnotation]: String(index) },
      annotations,
      finalizers,
    },
    spec: {
      ...spec,
      hostname: `${job.metadata.name}-${index}`,
      containers: spec.containers.map(withIndex),
      ...(spec.initContainers ? { initContainers: spec.initContainers.map(withIndex) } : {}),
    },
  };
}

function withIndex(container: Container): Container {
  const env = container.env ?? [];
  if (env.some(({ name }) => name === indexVariable)) return container;
  const fieldPath = `metadata.labels['${indexAnnotation}']`;
  return { ...container, env: [...env, { name: indexVariable, valueFrom: { fieldRef: { fieldPath } } }] };
}
