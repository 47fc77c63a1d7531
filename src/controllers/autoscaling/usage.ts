import { milliValue, parseTime, type Pod } from "../../kube/index.ts";
import { isReady } from "../pods.ts";

/** What a pod uses of a resource, in thousandths, by the pod's name. */
export type Usage = ReadonlyMap<string, number>;

/** Pods that metrics are to be had of, as they count (KEP-117 and upstream's replica calculator). */
export interface Groups {
  readonly ready: readonly Pod[];
  /** Too young to be judged by what they use. */
  readonly unready: readonly Pod[];
  /** Without metrics. */
  readonly missing: readonly Pod[];
}

/** Milliseconds after its start in which a pod's use of cpu says little. */
const settling = 300_000;
const firstReadiness = 30_000;

export function groupPods(pods: readonly Pod[], usage: Usage, resource: string, now: number): Groups {
  const groups = { ready: [] as Pod[], unready: [] as Pod[], missing: [] as Pod[] };
  for (const pod of pods) {
    const { metadata, status } = pod;
    if (metadata.deletionTimestamp || status?.phase === "Failed" || status?.phase === "Succeeded") continue;
    if (status?.phase === "Pending") groups.unready.push(pod);
    else if (!usage.has(metadata.name)) groups.missing.push(pod);
    else if (resource === "cpu" && isSettling(pod, now)) groups.unready.push(pod);
    else groups.ready.push(pod);
  }
  return groups;
}

function isSettling(pod: Pod, now: number): boolean {
  const start = parseTime(pod.status?.startTime ?? "");
  const condition = pod.status?.conditions?.find(({ type }) => type === "Ready");
  if (start === undefined || !condition) return true;
  if (isReady(pod)) return false;
  const since = parseTime(condition.lastTransitionTime ?? "") ?? 0;
  // Later on it was ready before: what it uses counts.
  return start + settling > now || start + firstReadiness > since;
}

/** What a pod's containers (or one of them) ask of a resource, in thousandths; the name of the first that asks nothing. */
export function requestOf(
  { spec }: Pod,
  resource: string,
  container: string | undefined,
): { readonly amount: number } | { readonly lacking: string } {
  let amount = 0;
  const sidecars = (spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === "Always");
  for (const { name, resources: wanted } of [...spec.containers, ...sidecars]) {
    if (container !== undefined && container !== name) continue;
    const request = wanted?.requests?.[resource] ?? wanted?.limits?.[resource];
    if (request === undefined) return { lacking: name };
    amount += milliValue(request);
  }
  return { amount };
}

/** How many pods are needed, and what is used of what is asked. */
export interface Verdict {
  readonly replicas: number;
  /** Percent of the requests; only where those are asked about. */
  readonly utilization?: number;
  /** Mean of what the pods use, in thousandths. */
  readonly average: number;
}

export interface Question {
  readonly pods: readonly Pod[];
  readonly usage: Usage;
  readonly resource: string;
  readonly container?: string | undefined;
  /** Percent of the requests. */
  readonly utilization?: number | undefined;
  /** Mean of what a pod is to use, in thousandths. */
  readonly average?: number | undefined;
  readonly current: number;
  /** Parts that the use may be off without anything being done, upwards and downwards. */
  readonly tolerance: { readonly up: number; readonly down: number };
  readonly now: number;
}

/** Decides how many pods bring the use of a resource to what is wanted, or says why that is unknown. */
export function replicasFor(question: Question): Verdict | { readonly error: string } {
  const { pods, usage, resource, container, utilization, current, tolerance, now } = question;
  const { ready, unready, missing } = groupPods(pods, usage, resource, now);
  if (ready.length === 0) return { error: "did not receive metrics for targeted pods (pods might be unready)" };
  const target = new Map<string, number>();
  for (const pod of [...ready, ...unready, ...missing]) {
    if (utilization === undefined) {
      target.set(pod.metadata.name, question.average ?? 0);
      continue;
    }
    const request = requestOf(pod, resource, container);
    if ("lacking" in request)
      return { error: `missing request for ${resource} in container ${request.lacking} of Pod ${pod.metadata.name}` };
    target.set(pod.metadata.name, request.amount);
  }
  const wanted = (utilization ?? 100) / 100;
  const targetOf = ({ metadata }: Pod): number => target.get(metadata.name) ?? 0;
  const used = ready.reduce((sum, { metadata }) => sum + (usage.get(metadata.name) ?? 0), 0);
  const asked = ready.reduce((sum, pod) => sum + targetOf(pod), 0);
  const verdict = {
    ...(utilization === undefined ? {} : { utilization: asked === 0 ? 0 : Math.floor((used * 100) / asked) }),
    average: Math.floor(used / ready.length),
  };
  const isWithin = (ratio: number): boolean => ratio >= 1 - tolerance.down && ratio <= 1 + tolerance.up;
  const ratio = asked === 0 ? 0 : used / asked / wanted;
  const counted = ratio > 1 ? [...missing, ...unready] : missing;
  if (counted.length === 0)
    return { ...verdict, replicas: isWithin(ratio) ? current : Math.ceil(ratio * ready.length) };
  // Those that nothing is known of speak against a change: they use nothing when more are wanted, and their share when fewer are.
  const share = ratio < 1 ? Math.max(1, wanted) : 0;
  const guessed = utilization === undefined ? (ratio < 1 ? 1 : 0) : share;
  const all = used + counted.reduce((sum, pod) => sum + targetOf(pod) * guessed, 0);
  const allAsked = asked + counted.reduce((sum, pod) => sum + targetOf(pod), 0);
  const careful = allAsked === 0 ? 0 : all / allAsked / wanted;
  const replicas = Math.ceil(careful * (ready.length + counted.length));
  const turned = (ratio < 1 && careful > 1) || (ratio > 1 && careful < 1);
  const wrong = (careful < 1 && replicas > current) || (careful > 1 && replicas < current);
  return { ...verdict, replicas: isWithin(careful) || turned || wrong ? current : replicas };
}
