import {
  invalid,
  resources,
  type KubeObject,
  type Namespace,
  type Pod,
  type PodTemplateSpec,
  type Resource,
} from "../../../kube/index.ts";
import { forbidden, type Admission, type AdmissionRequest } from "../../registry/index.ts";
import { keyFor, prefixFor, type Storage } from "../../storage/index.ts";
import { checkedPod, type CheckedPod, type Violation } from "./check.ts";
import { detailed, violations } from "./evaluate.ts";
import { compareLevels, isFullyPrivileged, nameOf, policyOf, type LevelVersion, type Policy } from "./policy.ts";

/** Whom the Pod Security Standards do not hold for. */
export interface PodSecurityExemptions {
  readonly namespaces?: readonly string[];
  readonly usernames?: readonly string[];
  readonly runtimeClasses?: readonly string[];
}

/** Parts of a Pod by which nothing can be set that the standards speak of. */
const harmlessParts: ReadonlySet<string> = new Set([
  "exec",
  "attach",
  "binding",
  "eviction",
  "log",
  "portforward",
  "proxy",
  "status",
]);
/** Pods of a namespace that are looked at when its level changes, as upstream. */
const mostPods = 3000;

/**
 * The Pod Security Standards (KEP-2579): what the labels of a namespace enforce for its pods, and warn of, for the templates of workloads
 * too. A validating step.
 */
export function podSecurity(storage: Storage, exempt: PodSecurityExemptions = {}): Admission {
  const policyIn = (namespace: string): ReturnType<typeof policyOf> =>
    policyOf(
      storage.of(resources.Namespace).get(keyFor(resources.Namespace, { name: namespace }))?.object.metadata.labels,
    );
  const isExempt = ({ context }: AdmissionRequest): boolean =>
    (exempt.namespaces?.includes(context.namespace) ?? false) ||
    (exempt.usernames?.includes(context.user.name) ?? false);

  const judge = (request: AdmissionRequest, policy: Policy, pod: CheckedPod, enforces: boolean): void => {
    const { context } = request;
    if (exempt.runtimeClasses?.includes(pod.spec.runtimeClassName ?? "")) return;
    const seen = new Map<string, Violation[]>();
    const found = (wanted: LevelVersion): Violation[] => {
      const known = seen.get(nameOf(wanted)) ?? violations(wanted, pod);
      seen.set(nameOf(wanted), known);
      return known;
    };
    const violation = enforces ? found(policy.enforce) : [];
    if (enforces) context.annotate?.("pod-security.kubernetes.io/enforce-policy", nameOf(policy.enforce));
    const audited = found(policy.audit);
    if (audited.length > 0)
      context.annotate?.(
        "pod-security.kubernetes.io/audit-violations",
        `would violate PodSecurity "${nameOf(policy.audit)}": ${detailed(audited)}`,
      );
    if (violation.length > 0)
      throw forbidden(
        context.resource,
        request.name || (request.object?.metadata.name ?? ""),
        `violates PodSecurity "${nameOf(policy.enforce)}": ${detailed(violation)}`,
      );
    const warned = found(policy.warn);
    if (warned.length > 0) context.warn(`would violate PodSecurity "${nameOf(policy.warn)}": ${detailed(warned)}`);
  };

  const pods = (request: AdmissionRequest): void => {
    const { context, operation, object, old } = request;
    if (harmlessParts.has(context.subresource) || isExempt(request)) return;
    const { policy, errors } = policyIn(context.namespace);
    if (errors.length === 0 && isFullyPrivileged(policy)) return;
    const pod = object as Pod;
    if (operation === "UPDATE" && !isSignificant(pod, old as Pod)) return;
    if (pod.spec) judge(request, policy, checkedPod(pod.metadata.annotations, pod.spec), true);
  };

  const workloads = (request: AdmissionRequest, template: PodTemplateSpec | undefined): void => {
    if (!template?.spec || isExempt(request)) return;
    const { policy } = policyIn(request.context.namespace);
    if (policy.warn.level === "privileged" && policy.audit.level === "privileged") return;
    judge(request, policy, checkedPod(template.metadata?.annotations, template.spec), false);
  };

  /** Wrong labels are refused; of pods that a new level would not let in there is a warning. */
  const namespaces = ({ operation, context, object, old }: AdmissionRequest): void => {
    const namespace = object as Namespace;
    const now = policyOf(namespace.metadata.labels);
    const before = operation === "UPDATE" ? policyOf(old?.metadata.labels) : undefined;
    if (now.errors.length > 0 && JSON.stringify(now.errors) !== JSON.stringify(before?.errors))
      throw invalid(resources.Namespace, namespace.metadata.name, now.errors);
    if (!before || exempt.namespaces?.includes(namespace.metadata.name)) return;
    const { enforce } = now.policy;
    const was = before.policy.enforce;
    if (enforce.level === "privileged" || (enforce.minor === was.minor && compareLevels(enforce.level, was.level) <= 0))
      return;
    for (const warning of warningsFor(enforce, namespace.metadata.name)) context.warn(warning);
  };

  const warningsFor = (enforce: LevelVersion, namespace: string): string[] => {
    const entries = storage.of(resources.Pod).under(prefixFor(resources.Pod, namespace));
    const counts = new Map<string, { first: string; count: number }>();
    for (const entry of entries.slice(0, mostPods)) {
      const { metadata, spec } = entry.object as Pod;
      if (!spec || exempt.runtimeClasses?.includes(spec.runtimeClassName ?? "")) continue;
      const found = violations(enforce, checkedPod(metadata.annotations, spec));
      if (found.length === 0) continue;
      const reasons = found.map(({ reason }) => reason).join(", ");
      const { first, count } = counts.get(reasons) ?? { first: metadata.name, count: 0 };
      counts.set(reasons, { first: metadata.name < first ? metadata.name : first, count: count + 1 });
    }
    const told = [...counts].map(([reasons, { first, count }]) => {
      const others = count === 2 ? " (and 1 other pod)" : count > 2 ? ` (and ${count - 1} other pods)` : "";
      return `${first}${others}: ${reasons}`;
    });
    return [
      ...(entries.length > mostPods
        ? [
            `new PodSecurity enforce level only checked against the first ${mostPods} of ${entries.length} existing pods`,
          ]
        : []),
      ...(told.length > 0
        ? [`existing pods in namespace "${namespace}" violate the new PodSecurity enforce level "${nameOf(enforce)}"`]
        : []),
      ...told.sort(),
    ];
  };

  return (request) => {
    const { context, operation, object } = request;
    if ((operation !== "CREATE" && operation !== "UPDATE") || !object) return;
    const { resource, subresource } = context;
    if (resource === resources.Pod) pods(request);
    else if (subresource !== "") return;
    else if (resource === resources.Namespace) namespaces(request);
    else if (carriers.has(resource)) workloads(request, templateOf(object));
  };
}

/** Kinds whose objects make pods. */
const carriers: ReadonlySet<Resource> = new Set<Resource>([
  resources.Deployment,
  resources.ReplicaSet,
  resources.StatefulSet,
  resources.DaemonSet,
  resources.Job,
  resources.CronJob,
  resources.ReplicationController,
  resources.PodTemplate,
]);

interface Carrier {
  readonly template?: PodTemplateSpec;
  readonly spec?: {
    readonly template?: PodTemplateSpec;
    readonly jobTemplate?: { readonly spec?: { readonly template?: PodTemplateSpec } };
  };
}

function templateOf(object: KubeObject): PodTemplateSpec | undefined {
  const { template, spec } = object as Carrier;
  return template ?? spec?.template ?? spec?.jobTemplate?.spec?.template;
}

/** An update counts when it brings another container or another image. */
function isSignificant(pod: Pod, old: Pod): boolean {
  const imagesOf = (one: readonly { image?: string }[] | undefined): string =>
    JSON.stringify((one ?? []).map(({ image }) => image));
  if (imagesOf(pod.spec?.containers) !== imagesOf(old.spec?.containers)) return true;
  if (imagesOf(pod.spec?.initContainers) !== imagesOf(old.spec?.initContainers)) return true;
  return (pod.spec?.ephemeralContainers ?? []).some(
    ({ name, image }) => old.spec?.ephemeralContainers?.find((one) => one.name === name)?.image !== image,
  );
}
