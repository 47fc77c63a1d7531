import {
  horizontalPodAutoscalerOf,
  humanDuration,
  jobCondition,
  since,
  type ControllerRevision,
  type CronJob,
  type DaemonSet,
  type HorizontalPodAutoscaler,
  type HorizontalPodAutoscalerV1,
  type Job,
  type MetricSpec,
  type MetricStatus,
  type PodDisruptionBudget,
  type PodTemplate,
  type ReplicationController,
  type StatefulSet,
} from "../../kube/index.ts";
import {
  ageColumn,
  ageOf,
  boolean,
  formatLabels,
  formatSelector,
  integer,
  nameColumn,
  templateCells,
  templateColumns,
  text,
  wide,
  type Printer,
} from "./columns.ts";

const selector = wide("Selector", "Labels of the pods that are counted.");

export const statefulSetPrinter: Printer<StatefulSet> = {
  columns: [nameColumn, text("Ready", "How many of the wanted pods are ready."), ageColumn, ...templateColumns],
  cells: (set, now) => [
    set.metadata.name,
    `${set.status?.readyReplicas ?? 0}/${set.spec.replicas ?? 0}`,
    ageOf(set, now),
    ...templateCells(set.spec.template.spec),
  ],
};

export const daemonSetPrinter: Printer<DaemonSet> = {
  columns: [
    nameColumn,
    integer("Desired", "How many nodes should run a pod."),
    integer("Current", "How many nodes that should run a pod do."),
    integer("Ready", "How many of the pods are ready."),
    integer("Up-to-date", "How many nodes run a pod of the newest template."),
    integer("Available", "How many nodes run a pod that has been ready for long enough."),
    text("Node Selector", "Labels of the nodes that run a pod."),
    ageColumn,
    ...templateColumns,
    selector,
  ],
  cells: (set, now) => [
    set.metadata.name,
    set.status?.desiredNumberScheduled ?? 0,
    set.status?.currentNumberScheduled ?? 0,
    set.status?.numberReady ?? 0,
    set.status?.updatedNumberScheduled ?? 0,
    set.status?.numberAvailable ?? 0,
    formatLabels(set.spec.template.spec?.nodeSelector),
    ageOf(set, now),
    ...templateCells(set.spec.template.spec),
    formatSelector(set.spec.selector),
  ],
};

export const replicationControllerPrinter: Printer<ReplicationController> = {
  columns: [
    nameColumn,
    integer("Desired", "How many pods are wanted."),
    integer("Current", "How many pods exist."),
    integer("Ready", "How many pods are ready."),
    ageColumn,
    ...templateColumns,
    selector,
  ],
  cells: (controller, now) => [
    controller.metadata.name,
    controller.spec.replicas ?? 0,
    controller.status?.replicas ?? 0,
    controller.status?.readyReplicas ?? 0,
    ageOf(controller, now),
    ...templateCells(controller.spec.template?.spec),
    formatLabels(controller.spec.selector),
  ],
};

export const podTemplatePrinter: Printer<PodTemplate> = {
  columns: [
    nameColumn,
    text("Containers", "Names of each container in the template."),
    text("Images", "Images referenced by each container in the template."),
    text("Pod Labels", "Labels of pods made from it."),
  ],
  cells: ({ metadata, template }) => [
    metadata.name,
    ...templateCells(template?.spec),
    formatLabels(template?.metadata?.labels),
  ],
};

export const controllerRevisionPrinter: Printer<ControllerRevision> = {
  columns: [
    nameColumn,
    text("Controller", "Whose state it is."),
    text("Revision", "Which of its states: they are counted."),
    ageColumn,
  ],
  cells: (revision, now) => {
    const owner = revision.metadata.ownerReferences?.find(({ controller }) => controller);
    const group = owner?.apiVersion.includes("/") ? `.${owner.apiVersion.split("/")[0]}` : "";
    const name = owner ? `${owner.kind.toLowerCase()}${group}/${owner.name}` : "<none>";
    return [revision.metadata.name, name, revision.revision, ageOf(revision, now)];
  },
};

/** States of a Job, the first that holds. */
const jobStates = ["Suspended", "FailureTarget", "SuccessCriteriaMet"];

export const jobPrinter: Printer<Job> = {
  columns: [
    nameColumn,
    text("Status", "What has become of it."),
    text("Completions", "How many of the wanted pods have succeeded."),
    text("Duration", "How long it took, or has taken until now."),
    ageColumn,
    ...templateColumns,
    selector,
  ],
  cells(job, now) {
    const { status = {}, spec } = job;
    const { startTime, completionTime, succeeded = 0 } = status;
    const { completions, parallelism = 0 } = spec;
    const is = (type: string): boolean => jobCondition(status, type);
    const state = is("Complete")
      ? "Complete"
      : is("Failed")
        ? "Failed"
        : job.metadata.deletionTimestamp
          ? "Terminating"
          : (jobStates.find(is) ?? "Running");
    const total = completions ?? (parallelism > 1 ? `1 of ${parallelism}` : 1);
    const end = completionTime ? Date.parse(completionTime) : now;
    return [
      job.metadata.name,
      state,
      `${succeeded}/${total}`,
      startTime ? humanDuration(end - Date.parse(startTime)) : "",
      ageOf(job, now),
      ...templateCells(spec.template.spec),
      formatSelector(spec.selector),
    ];
  },
};

export const cronJobPrinter: Printer<CronJob> = {
  columns: [
    nameColumn,
    text("Schedule", "When it runs."),
    text("Timezone", "Where it is that time."),
    boolean("Suspend", "It does not run for now."),
    integer("Active", "How many of its Jobs are running."),
    text("Last Schedule", "Time since it ran last."),
    ageColumn,
    ...templateColumns,
    selector,
  ],
  cells: (job, now) => [
    job.metadata.name,
    job.spec.schedule,
    job.spec.timeZone ?? "<none>",
    printed(job.spec.suspend),
    job.status?.active?.length ?? 0,
    job.status?.lastScheduleTime ? since(job.status.lastScheduleTime, now) : "<none>",
    ageOf(job, now),
    ...templateCells(job.spec.jobTemplate.spec?.template.spec),
    formatSelector(job.spec.jobTemplate.spec?.selector),
  ],
};

const printed = (value: boolean | undefined): string => (value === undefined ? "<unset>" : value ? "True" : "False");

export const podDisruptionBudgetPrinter: Printer<PodDisruptionBudget> = {
  columns: [
    nameColumn,
    text("Min Available", "How many pods have to be available."),
    text("Max Unavailable", "How many pods may be unavailable."),
    integer("Allowed Disruptions", "How many pods may be evicted now."),
    ageColumn,
  ],
  cells: (budget, now) => [
    budget.metadata.name,
    String(budget.spec.minAvailable ?? "N/A"),
    String(budget.spec.maxUnavailable ?? "N/A"),
    budget.status?.disruptionsAllowed ?? 0,
    ageOf(budget, now),
  ],
};

const isOld = (
  autoscaler: HorizontalPodAutoscaler | HorizontalPodAutoscalerV1,
): autoscaler is HorizontalPodAutoscalerV1 => autoscaler.apiVersion === "autoscaling/v1";

export const horizontalPodAutoscalerPrinter: Printer<HorizontalPodAutoscaler | HorizontalPodAutoscalerV1> = {
  columns: [
    nameColumn,
    text("Reference", "What it scales."),
    text("Targets", "What it looks at: the value now, and the one that is wanted."),
    text("MinPods", "The fewest pods."),
    text("MaxPods", "The most pods."),
    text("Replicas", "How many pods there are."),
    ageColumn,
  ],
  cells: (shown, now) => {
    // Both versions look the same.
    const { metadata, spec, status } = isOld(shown) ? horizontalPodAutoscalerOf(shown) : shown;
    return [
      metadata.name,
      `${spec.scaleTargetRef.kind}/${spec.scaleTargetRef.name}`,
      targets(spec.metrics ?? [], status?.currentMetrics ?? []),
      spec.minReplicas === undefined ? "<unset>" : String(spec.minReplicas),
      spec.maxReplicas,
      status?.currentReplicas ?? 0,
      ageOf(shown, now),
    ];
  },
};

function targets(specs: readonly MetricSpec[], statuses: readonly MetricStatus[]): string {
  if (specs.length === 0) return "<none>";
  const all = specs.map((spec, i) => targetOf(spec, statuses[i]));
  const shown = all.slice(0, 2).join(", ");
  return all.length > 2 ? `${shown} + ${all.length - 2} more...` : shown;
}

function targetOf(spec: MetricSpec, status: MetricStatus | undefined): string {
  const named = spec.resource ?? spec.containerResource;
  if (named) {
    const current = (spec.resource ? status?.resource : status?.containerResource)?.current;
    if (named.target.averageValue !== undefined)
      return `${named.name}: ${current?.averageValue ?? (current ? "0" : "<unknown>")}/${named.target.averageValue}`;
    const percent = (value: number | undefined, none: string): string => (value === undefined ? none : `${value}%`);
    const wanted = percent(named.target.averageUtilization, "<auto>");
    return `${named.name}: ${percent(current?.averageUtilization, "<unknown>")}/${wanted}`;
  }
  if (spec.pods) return `${status?.pods?.current.averageValue ?? "<unknown>"}/${spec.pods.target.averageValue ?? "0"}`;
  const source = spec.object ?? spec.external;
  if (!source) return "<unknown type>";
  const current = (spec.object ? status?.object : status?.external)?.current;
  if (source.target.averageValue !== undefined)
    return `${current?.averageValue ?? "<unknown>"}/${source.target.averageValue} (avg)`;
  return `${current?.value ?? "<unknown>"}/${source.target.value ?? "0"}`;
}
