import { isDeepStrictEqual } from "node:util";
import { ProviderFailure, type ExposureKey, type ProviderStep } from "../provider/contract.ts";
import type { Desired, Listener, Rule, Target, TargetGroup } from "./desired.ts";

export interface FoundGroup extends TargetGroup {
  readonly arn: string;
}
export interface FoundListener extends Listener {
  readonly arn: string;
  /** By place in `rules`. */
  readonly ruleArns: readonly string[];
  readonly priorities: readonly number[];
}

/** What exists in AWS for a Service or an Ingress. */
export interface Observed {
  readonly key: ExposureKey;
  readonly balancer?: {
    readonly arn: string;
    readonly state: string;
    readonly reason: string;
    readonly hostname: string;
    readonly type: string;
    readonly scheme: string;
    readonly subnets: readonly string[];
  };
  readonly groups: readonly FoundGroup[];
  readonly listeners: readonly FoundListener[];
}

export type AwsStep =
  | { readonly do: "create"; readonly desired: Desired }
  | { readonly do: "wait"; readonly arn: string }
  | { readonly do: "subnets"; readonly arn: string; readonly subnets: readonly string[] }
  | { readonly do: "group"; readonly key: ExposureKey; readonly vpc: string; readonly group: TargetGroup }
  | { readonly do: "health"; readonly arn: string; readonly group: TargetGroup }
  | { readonly do: "targets"; readonly arn: string; readonly add: readonly Target[]; readonly drop: readonly Target[] }
  | {
      readonly do: "listener";
      readonly key: ExposureKey;
      readonly balancer: string;
      readonly listener: Listener;
      readonly group: string;
    }
  | { readonly do: "relisten"; readonly arn: string; readonly listener: Listener; readonly group: string }
  | {
      readonly do: "rule";
      readonly listener: string;
      readonly priority: number;
      readonly rule: Rule;
      readonly group: string;
    }
  | { readonly do: "rerule"; readonly arn: string; readonly rule: Rule; readonly group: string }
  | { readonly do: "DeleteRule" | "DeleteListener" | "DeleteTargetGroup" | "DeleteLoadBalancer"; readonly arn: string };

const step = (summary: string, input: AwsStep): ProviderStep => ({ summary, input });
const nameOf = ({ protocol, port }: Listener) => `${port}/${protocol}`;

/** Pure. Throws ProviderFailure. */
export function planAws(desired: Desired, observed: Observed | undefined): readonly ProviderStep[] {
  const { key, name, vpc } = desired;
  const groups = observed?.groups ?? [];
  const steps: ProviderStep[] = [];
  for (const group of desired.groups) {
    const found = groups.find((one) => one.name === group.name);
    if (!found) steps.push(step(`create target group ${group.name}`, { do: "group", key, vpc, group }));
    else if (!isDeepStrictEqual([found.health, found.sticky], [group.health, group.sticky])) {
      steps.push(step(`change target group ${group.name}`, { do: "health", arn: found.arn, group }));
    }
  }
  const balancer = observed?.balancer;
  if (!observed || !balancer) {
    steps.push(step(`create load balancer ${name}`, { do: "create", desired }));
    return steps;
  }
  if (balancer.state === "failed") {
    throw new ProviderFailure("Broken", `AWS could not make load balancer ${name}: ${balancer.reason.slice(0, 300)}`);
  }
  if (balancer.type !== desired.type || balancer.scheme !== desired.scheme) {
    const words = `load balancer ${name} is ${balancer.scheme}, which cannot be changed; make the Service or Ingress anew`;
    throw new ProviderFailure("Refused", words);
  }
  if (!isDeepStrictEqual(balancer.subnets, desired.subnets)) {
    steps.push(step(`set subnets of ${name}`, { do: "subnets", arn: balancer.arn, subnets: desired.subnets }));
  }
  // What has just been planned has no ARN yet: the next look goes on.
  const arnOf = (group: string) => (group === "" ? "" : groups.find((one) => one.name === group)?.arn);
  const isSeen = desired.groups.every((one) => arnOf(one.name) !== undefined);
  if (!isSeen) return steps;
  for (const group of desired.groups) steps.push(...targetSteps(group, groups));
  for (const listener of desired.listeners) {
    const found = observed.listeners.find((one) => one.port === listener.port);
    const group = arnOf(listener.fallback) ?? "";
    if (!found) {
      steps.push(
        step(`create listener ${nameOf(listener)}`, { do: "listener", key, balancer: balancer.arn, listener, group }),
      );
      continue;
    }
    if (
      !isDeepStrictEqual(
        [found.protocol, found.certificates, found.fallback],
        [listener.protocol, listener.certificates, listener.fallback],
      )
    ) {
      steps.push(step(`change listener ${nameOf(listener)}`, { do: "relisten", arn: found.arn, listener, group }));
    }
    steps.push(...ruleSteps(listener, found, (name_) => arnOf(name_) ?? ""));
  }
  const ports = new Set(desired.listeners.map(({ port }) => port));
  for (const one of observed.listeners.filter(({ port }) => !ports.has(port))) {
    steps.push(step(`delete listener ${nameOf(one)}`, { do: "DeleteListener", arn: one.arn }));
  }
  const kept = new Set(desired.groups.map((one) => one.name));
  for (const one of groups.filter(({ name: of }) => !kept.has(of))) {
    steps.push(step(`delete target group ${one.name}`, { do: "DeleteTargetGroup", arn: one.arn }));
  }
  if (balancer.state !== "active")
    steps.push(step(`wait while ${name} is ${balancer.state}`, { do: "wait", arn: balancer.arn }));
  return steps;
}

function targetSteps(group: TargetGroup, groups: readonly FoundGroup[]): readonly ProviderStep[] {
  const found = groups.find((one) => one.name === group.name);
  if (!found) return [];
  const has = (list: readonly Target[], one: Target) => list.some((other) => isDeepStrictEqual(one, other));
  const add = group.targets.filter((one) => !has(found.targets, one));
  const drop = found.targets.filter((one) => !has(group.targets, one));
  if (add.length + drop.length === 0) return [];
  const summary = `register ${add.length} and deregister ${drop.length} targets of ${group.name}`;
  return [step(summary, { do: "targets", arn: found.arn, add, drop })];
}

/** Rule n has priority n: places that differ are changed, others are added or go. */
function ruleSteps(
  listener: Listener,
  found: FoundListener,
  arnOf: (group: string) => string,
): readonly ProviderStep[] {
  const steps: ProviderStep[] = [];
  for (const [i, rule] of listener.rules.entries()) {
    const at = found.priorities.indexOf(i + 1);
    const group = arnOf(rule.group);
    const words = `rule ${i + 1} of listener ${nameOf(listener)}`;
    if (at < 0) steps.push(step(`create ${words}`, { do: "rule", listener: found.arn, priority: i + 1, rule, group }));
    else if (!isDeepStrictEqual(found.rules[at], rule)) {
      steps.push(step(`change ${words}`, { do: "rerule", arn: found.ruleArns[at] ?? "", rule, group }));
    }
  }
  for (const [at, priority] of found.priorities.entries()) {
    if (priority <= listener.rules.length) continue;
    const words = `delete rule ${priority} of listener ${nameOf(listener)}`;
    steps.push(step(words, { do: "DeleteRule", arn: found.ruleArns[at] ?? "" }));
  }
  return steps;
}

/** Pure. */
export function planAwsRemoval({ balancer, listeners, groups }: Observed): readonly ProviderStep[] {
  return [
    ...listeners.map((one) => step(`delete listener ${nameOf(one)}`, { do: "DeleteListener", arn: one.arn })),
    ...(balancer ? [step("delete the load balancer", { do: "DeleteLoadBalancer", arn: balancer.arn })] : []),
    ...groups.map((one) => step(`delete target group ${one.name}`, { do: "DeleteTargetGroup", arn: one.arn })),
  ];
}
