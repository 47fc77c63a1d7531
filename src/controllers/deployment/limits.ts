import { type Deployment, scaledValue } from "../../kube/index.ts";

export const isRolling = ({ spec }: Deployment): boolean => spec.strategy?.type !== "Recreate";
export const wantedOf = ({ spec }: Deployment): number => spec.replicas ?? 1;

/** How many pods a rollout may have too many and too few. A rollout that may have neither could never begin. */
function limitsOf(deployment: Deployment): { surge: number; unavailable: number } {
  if (!isRolling(deployment)) return { surge: 0, unavailable: 0 };
  const { maxSurge = "25%", maxUnavailable = "25%" } = deployment.spec.strategy?.rollingUpdate ?? {};
  const replicas = wantedOf(deployment);
  const surge = scaledValue(maxSurge, replicas, "up");
  const unavailable = scaledValue(maxUnavailable, replicas, "down");
  return { surge, unavailable: surge === 0 && unavailable === 0 ? 1 : unavailable };
}

export const maxSurgeOf = (deployment: Deployment): number => limitsOf(deployment).surge;

export function maxUnavailableOf(deployment: Deployment): number {
  const replicas = wantedOf(deployment);
  return isRolling(deployment) && replicas > 0 ? Math.min(replicas, limitsOf(deployment).unavailable) : 0;
}
