import { defaultTemplate } from "../apps/pod-template.ts";
import { createStrategy } from "../base-strategy.ts";
import { validatePodTemplate } from "../core/pod-validation.ts";
import { podWarnings } from "../core/pod-warnings.ts";
import type { Job, JobSpec, PodTemplateSpec } from "../generated/types.ts";
import { resources } from "../resource.ts";
import { matchesLabels } from "../selectors/label-selector.ts";
import { fault, invalids, type Faults } from "../validation/fault.ts";
import { validateLabelSelector } from "../validation/label-selector.ts";
import { validateImmutable, validateNonNegative } from "../validation/metadata.ts";
import { validateOneOf } from "../validation/ports.ts";
import { isDns1123Label, isDns1123Subdomain } from "../values/names.ts";
import { validateFailurePolicy, validateSuccessPolicy } from "./job-policies.ts";
import { validateJobStatus } from "./job-status.ts";

const maxInt32 = 2 ** 31 - 1;
const maxIndexedParallelism = 100_000;
/** Above so many completions the bounds below hold. */
const manyCompletions = 100_000;
const maxParallelismThen = 10_000;
const maxFailedThen = 10_000;

/** Labels by which a Job finds its pods, with the older names of each. */
const uidLabels = ["controller-uid", "batch.kubernetes.io/controller-uid"] as const;
const nameLabels = ["job-name", "batch.kubernetes.io/job-name"] as const;

const podsStay =
  "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning";

export const jobStrategy = createStrategy(resources.Job, {
  generationOf: (job) => job.spec,
  defaults(job) {
    defaultLabels(job);
    defaultJobSpec(job.spec);
    job.spec.backoffLimit ??= job.spec.backoffLimitPerIndex === undefined ? 6 : maxInt32;
    if (job.spec.completions === undefined && job.spec.parallelism === undefined) job.spec.completions = 1;
    job.spec.parallelism ??= 1;
    job.spec.completionMode ??= "NonIndexed";
    job.spec.suspend ??= false;
    job.spec.podReplacementPolicy ??= job.spec.podFailurePolicy ? "Failed" : "TerminatingOrFailed";
    job.spec.manualSelector ??= false;
  },
  prepareForCreate(job) {
    if (!job.spec.manualSelector) generateSelector(job);
    defaultLabels(job);
  },
  warnings: ({ metadata, spec }) => {
    return [...nameWarnings(metadata), ...jobWarnings(spec, "spec")];
  },
  *validate(job, _context, old) {
    yield* validateGeneratedSelector(job);
    yield* validateSelectedSpec(job.spec);
    yield* validateIndexedName(job);
    if (old) yield* validateUpdate(job, old);
  },
  validateStatus: validateJobStatus,
  // As before there was garbage collection: who deletes a Job and says nothing keeps its pods.
  garbageCollection: "orphan",
  deletionWarnings: (policy) => (policy === undefined ? [podsStay] : []),
  selectableFields: ({ status }) => ({ "status.successful": String(status?.succeeded ?? 0) }),
});

/** Pods are called after their Job, and a pod's name is its host name. */
export function nameWarnings({ name }: Partial<Job["metadata"]>): string[] {
  const messages = name ? isDns1123Label(name) : [];
  const text =
    "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended";
  return messages.length > 0 ? [`${text}: [${messages.join(" ")}]`] : [];
}

/** Defaults of the pods of a Job's spec, also where it is the template of a CronJob. */
export function defaultJobSpec(spec: JobSpec): void {
  for (const { onPodConditions = [] } of spec.podFailurePolicy?.rules ?? [])
    for (const pattern of onPodConditions) pattern.status ||= "True";
  defaultTemplate(spec);
}

/** Warnings about a Job's spec, which stands at `path`. */
export function jobWarnings(spec: JobSpec, path: string): string[] {
  const { completionMode, completions = 0, parallelism = 0 } = spec;
  const high =
    completionMode === "Indexed" && completions > manyCompletions && parallelism > maxParallelismThen
      ? [
          `${path}: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, Kubernetes might not be able to track completedIndexes when a big number of indexes fail`,
        ]
      : [];
  return [...high, ...podWarnings(spec.template, `${path}.template`)];
}

/** A Job without labels has those of its pods. */
function defaultLabels({ metadata, spec }: Job): void {
  const { labels } = spec.template.metadata ?? {};
  if (labels && !metadata.labels) metadata.labels = { ...labels };
}

/** Labels the pods of a Job with the Job's uid, and selects by it. What a user has set already stays, and is refused if it is wrong. */
function generateSelector({ metadata, spec }: Job): void {
  const template = (spec.template.metadata ??= {});
  const labels: Record<string, string> = { ...template.labels };
  for (const label of nameLabels) labels[label] ??= (metadata as Partial<typeof metadata>).name ?? "";
  for (const label of uidLabels) labels[label] ??= metadata.uid ?? "";
  template.labels = labels;
  const matchLabels = { [uidLabels[1]]: metadata.uid ?? "", ...spec.selector?.matchLabels };
  spec.selector = { ...spec.selector, matchLabels };
}

function* validateGeneratedSelector({ metadata, spec }: Job): Faults {
  if (spec.manualSelector) return;
  const labels = spec.template.metadata?.labels ?? {};
  const expected: Record<string, string> = {};
  const order = [uidLabels[0], nameLabels[0], uidLabels[1], nameLabels[1]];
  for (const label of order) {
    const value = (nameLabels as readonly string[]).includes(label) ? metadata.name : (metadata.uid ?? "");
    expected[label] = value;
    const path = `spec.template.metadata.labels[${label}]`;
    if (labels[label] === undefined) yield fault.required(path, `must be '${value}'`);
    else if (labels[label] !== value) yield fault.invalid(path, labels, `must be '${value}'`);
  }
  if (!matchesLabels(spec.selector, expected))
    yield fault.invalid("spec.selector", spec.selector, "`selector` not auto-generated");
}

function* validateSelectedSpec(spec: JobSpec): Faults {
  yield* validateJobSpec(spec, "spec");
  if (!spec.selector) yield fault.required("spec.selector");
  else yield* validateLabelSelector(spec.selector, "spec.selector");
  const labels = spec.template.metadata?.labels;
  if (!matchesLabels(spec.selector, labels))
    yield fault.invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`");
}

/** The last pod of an indexed Job has the longest name. */
function* validateIndexedName({ metadata, spec }: Job): Faults {
  const { completionMode, completions = 0 } = spec;
  if (completionMode !== "Indexed" || completions <= 0) return;
  const host = `${metadata.name}-${completions - 1}`;
  if (isDns1123Label(host).length > 0)
    yield fault.invalid("metadata.name", metadata.name, `will not able to create pod with invalid DNS label: ${host}`);
}

/** Faults of a Job's spec but those of its selector. The spec stands at `path`. */
export function* validateJobSpec(spec: JobSpec, path: string): Faults {
  const counts = [
    "parallelism",
    "completions",
    "activeDeadlineSeconds",
    "backoffLimit",
    "ttlSecondsAfterFinished",
    "backoffLimitPerIndex",
    "maxFailedIndexes",
  ] as const;
  for (const field of counts) yield* validateNonNegative(spec[field], `${path}.${field}`);
  if (spec.maxFailedIndexes !== undefined && spec.backoffLimitPerIndex === undefined)
    yield fault.required(`${path}.backoffLimitPerIndex`, "when maxFailedIndexes is specified");
  if (spec.managedBy !== undefined) yield* validateManager(spec.managedBy, `${path}.managedBy`);
  yield* validateCompletionMode(spec, path);
  if (spec.podFailurePolicy) yield* validateFailurePolicy(spec, `${path}.podFailurePolicy`);
  if (spec.successPolicy) {
    if (spec.completionMode === "Indexed") yield* validateSuccessPolicy(spec, `${path}.successPolicy`);
    else yield fault.invalid(`${path}.successPolicy`, spec.successPolicy, "requires indexed completion mode");
  }
  if (spec.podReplacementPolicy !== undefined) {
    const supported = spec.podFailurePolicy ? ["Failed"] : ["Failed", "TerminatingOrFailed"];
    yield* validateOneOf(spec.podReplacementPolicy, supported, `${path}.podReplacementPolicy`);
  }
  yield* validatePodTemplate(spec.template, `${path}.template`);
  const { restartPolicy = "" } = spec.template.spec ?? {};
  const at = `${path}.template.spec.restartPolicy`;
  if (restartPolicy === "" || restartPolicy === "Always")
    yield fault.required(at, 'valid values: "OnFailure", "Never"');
  else if (restartPolicy !== "OnFailure" && restartPolicy !== "Never")
    yield fault.notSupported(at, restartPolicy, ["OnFailure", "Never"]);
  else if (spec.podFailurePolicy && restartPolicy !== "Never")
    yield fault.invalid(at, restartPolicy, 'only "Never" is supported when podFailurePolicy is specified');
}

const pathForm = "[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+";

/** The controller of a Job has a name with a domain: `example.com/controller`. */
function* validateManager(name: string, path: string): Faults {
  const [domain = "", ...rest] = name.split("/");
  const local = rest.join("/");
  if (name === "") yield fault.required(path);
  else if (rest.length === 0 || domain === "" || local === "")
    yield fault.invalid(path, name, 'must be a domain-prefixed path (such as "acme.io/foo")');
  else {
    yield* invalids(path, domain, isDns1123Subdomain(domain));
    if (!new RegExp(`^${pathForm}$`).test(local))
      yield fault.invalid(path, local, `Invalid path (regex used for validation is '${pathForm}')`);
  }
  if (name.length > 63) yield fault.tooLong(path, 63);
}

function* validateCompletionMode(spec: JobSpec, path: string): Faults {
  const { completionMode: mode = "NonIndexed", completions, parallelism = 0, maxFailedIndexes } = spec;
  const failedPath = `${path}.maxFailedIndexes`;
  yield* validateOneOf(mode, ["NonIndexed", "Indexed"], `${path}.completionMode`);
  if (mode === "NonIndexed") {
    for (const field of ["backoffLimitPerIndex", "maxFailedIndexes"] as const) {
      if (spec[field] !== undefined)
        yield fault.invalid(`${path}.${field}`, spec[field], "requires indexed completion mode");
    }
  }
  if (mode !== "Indexed") return;
  if (completions === undefined) yield fault.required(`${path}.completions`, "when completion mode is Indexed");
  if (parallelism > maxIndexedParallelism) {
    const text = `must be less than or equal to ${maxIndexedParallelism} when completion mode is Indexed`;
    yield fault.invalid(`${path}.parallelism`, parallelism, text);
  }
  if (completions !== undefined && maxFailedIndexes !== undefined && maxFailedIndexes > completions)
    yield fault.invalid(failedPath, maxFailedIndexes, "must be less than or equal to completions");
  if (maxFailedIndexes !== undefined && maxFailedIndexes > maxIndexedParallelism)
    yield fault.invalid(failedPath, maxFailedIndexes, `must be less than or equal to ${maxIndexedParallelism}`);
  if (completions === undefined || completions <= manyCompletions || spec.backoffLimitPerIndex === undefined) return;
  const then = `when completions are above ${manyCompletions} and used with backoff limit per index`;
  if (maxFailedIndexes === undefined)
    yield fault.required(failedPath, `must be specified when completions is above ${manyCompletions}`);
  if (parallelism > maxParallelismThen)
    yield fault.invalid(
      `${path}.parallelism`,
      parallelism,
      `must be less than or equal to ${maxParallelismThen} ${then}`,
    );
  if (maxFailedIndexes !== undefined && maxFailedIndexes > maxFailedThen)
    yield fault.invalid(failedPath, maxFailedIndexes, `must be less than or equal to ${maxFailedThen} ${then}`);
}

function* validateUpdate({ spec }: Job, old: Job): Faults {
  // Upstream looks at the spec of an update twice, and tells all that it finds.
  yield* validateSelectedSpec(spec);
  yield* validateCompletions(spec, old.spec);
  yield* validateImmutable(spec.selector, old.spec.selector, "spec.selector");
  yield* validateImmutable(spec.template, mutableTemplate(spec.template, old), "spec.template");
  const fixed = ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"] as const;
  for (const field of fixed) yield* validateImmutable(spec[field] ?? null, old.spec[field] ?? null, `spec.${field}`);
}

/** Of an indexed Job, completions and parallelism may change together. */
function* validateCompletions(spec: JobSpec, old: JobSpec): Faults {
  const { completions = null } = spec;
  if (spec.completionMode !== "Indexed") {
    yield* validateImmutable(completions, old.completions ?? null, "spec.completions");
    return;
  }
  if (completions === (old.completions ?? null) || completions === null || completions === spec.parallelism) return;
  yield fault.invalid("spec.completions", completions, "can only be modified in tandem with spec.parallelism");
}

/** The old template with what the new one may change: where the pods of a suspended Job that has not begun may run. */
function mutableTemplate(template: PodTemplateSpec, { spec, status }: Job): PodTemplateSpec {
  const old = spec.template;
  if (!spec.suspend || status?.startTime) return old;
  const { nodeSelector, tolerations, schedulingGates, affinity } = template.spec ?? { containers: [] };
  const { nodeAffinity: _old, ...otherAffinity } = old.spec?.affinity ?? {};
  const nodeAffinity = affinity?.nodeAffinity ? { nodeAffinity: affinity.nodeAffinity } : {};
  const { annotations, labels } = template.metadata ?? {};
  const metadata = { ...old.metadata, ...defined({ annotations, labels }) };
  const given = { nodeSelector, tolerations, schedulingGates, affinity: { ...otherAffinity, ...nodeAffinity } };
  return { metadata, spec: { ...old.spec, ...given } as NonNullable<PodTemplateSpec["spec"]> };
}

function defined<T extends object>(fields: T): { [key in keyof T]?: NonNullable<T[key]> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [key in keyof T]?: NonNullable<T[key]>;
  };
}
