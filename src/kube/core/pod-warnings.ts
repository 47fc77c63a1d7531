import type { PodSpec } from "../generated/types.ts";
import { parseQuantity } from "../values/quantity.ts";

const whole = 1_000_000_000n;

/** Kinds of volumes that are given up, since when, and what the warning calls them where that is another name. */
const oldVolumes: Readonly<Record<string, { readonly since: string; readonly field?: string }>> = {
  photonPersistentDisk: { since: "v1.11, non-functional in v1.16+" },
  gitRepo: { since: "v1.11, and disabled by default in v1.33+" },
  scaleIO: { since: "v1.16, non-functional in v1.22+" },
  flocker: { since: "v1.22, non-functional in v1.25+" },
  storageos: { since: "v1.22, non-functional in v1.25+", field: "storageOS" },
  quobyte: { since: "v1.22, non-functional in v1.25+" },
  glusterfs: { since: "v1.25, non-functional in v1.26+" },
  cephfs: { since: "v1.28, non-functional in v1.31+" },
  rbd: { since: "v1.28, non-functional in v1.31+" },
};

/** Warnings about a pod's spec that is valid and yet hardly meant so. `path` is where it stands. */
export function podWarnings(spec: PodSpec | undefined, path: string): string[] {
  if (!spec) return [];
  const { terminationGracePeriodSeconds: grace = 0, imagePullSecrets = [] } = spec;
  const lists = (["initContainers", "containers"] as const).flatMap((field) =>
    (spec[field] ?? []).flatMap((container, i) => containerWarnings(container, `${path}.${field}[${i}]`)),
  );
  const unnamed = imagePullSecrets.flatMap(({ name }, i) =>
    name ? [] : [`${path}.imagePullSecrets[${i}].name: invalid empty name ""`],
  );
  const negative = `${path}.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1`;
  const old = (spec.volumes ?? []).flatMap((volume, i) =>
    Object.entries(oldVolumes).flatMap(([source, { field, since }]) =>
      source in volume ? [`${path}.volumes[${i}].${field ?? source}: deprecated in ${since}`] : [],
    ),
  );
  return [...old, ...unnamed, ...(grace < 0 ? [negative] : []), ...lists];
}

function containerWarnings(container: PodSpec["containers"][number], path: string): string[] {
  const { env = [], ports = [], resources = {} } = container;
  const hidden = env.flatMap(({ name }, i) => {
    const isHidden = env.findIndex((other) => other.name === name) < i;
    return isHidden
      ? [
          `${path}.env[${i}]: hides previous definition of ${JSON.stringify(name)}, which may be dropped when using apply`,
        ]
      : [];
  });
  const repeated = ports.flatMap(({ containerPort, protocol }, i) => {
    const first = ports.findIndex((other) => other.containerPort === containerPort && other.protocol === protocol);
    return first < i ? [`${path}.ports[${i}]: duplicate port definition with ${path}.ports[${first}]`] : [];
  });
  const fractions = (["limits", "requests"] as const).flatMap((field) => {
    const amount = resources[field]?.["memory"] ?? "0";
    const text = `fractional byte value ${JSON.stringify(amount)} is invalid, must be an integer`;
    return parseQuantity(amount).nano % whole === 0n ? [] : [`${path}.resources.${field}[memory]: ${text}`];
  });
  return [...hidden, ...repeated, ...fractions];
}
