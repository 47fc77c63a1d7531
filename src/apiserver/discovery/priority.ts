import type { CatalogGroup } from "./groups.ts";

/** Groups of Kubernetes in the order in which it shows them; groups of others come after them, in order of their names. */
const known = [
  "",
  "apiregistration.k8s.io",
  "apps",
  "events.k8s.io",
  "authentication.k8s.io",
  "authorization.k8s.io",
  "autoscaling",
  "batch",
  "certificates.k8s.io",
  "networking.k8s.io",
  "policy",
  "rbac.authorization.k8s.io",
  "storage.k8s.io",
  "admissionregistration.k8s.io",
  "apiextensions.k8s.io",
  "scheduling.k8s.io",
  "coordination.k8s.io",
  "node.k8s.io",
  "discovery.k8s.io",
  "resource.k8s.io",
  "flowcontrol.apiserver.k8s.io",
];
/** Whether Kubernetes itself has the group. */
export const isKubernetesGroup = (group: string): boolean => known.includes(group);

const places = new Map(known.map((group, i) => [group, i]));

/** The order of discovery: by group, and in a group the preferred version first. */
export function byPriority(a: CatalogGroup, b: CatalogGroup): number {
  if (a.group === b.group) return compareVersions(a.version, b.version);
  const [placeA = known.length, placeB = known.length] = [places.get(a.group), places.get(b.group)];
  if (placeA !== placeB) return placeA - placeB;
  return a.group < b.group ? -1 : 1;
}

/** What a version says of itself: `v2beta1` is stage 1 (beta), major 2, minor 1. */
function parse(version: string): { stage: number; major: number; minor: number } | undefined {
  const match = /^v([1-9]\d*)(?:(alpha|beta)([1-9]\d*))?$/.exec(version);
  if (!match) return undefined;
  const stage = match[2] === undefined ? 2 : match[2] === "beta" ? 1 : 0;
  return { stage, major: Number(match[1]), minor: Number(match[3] ?? 0) };
}

/**
 * Negative when `a` is preferred to `b`: stable before beta before alpha, higher numbers first, and at the end what is none of these
 * in order of letters (apimachinery's `CompareKubeAwareVersionStrings`).
 */
export function compareVersions(a: string, b: string): number {
  const [one, two] = [parse(a), parse(b)];
  if (!one || !two) return one ? -1 : two ? 1 : a < b ? -1 : a > b ? 1 : 0;
  return two.stage - one.stage || two.major - one.major || two.minor - one.minor;
}
