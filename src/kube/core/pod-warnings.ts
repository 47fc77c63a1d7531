import type { Container, ContainerPort, PodSpec } from "../generated/types.ts";
import { parseQuantity } from "../values/quantity.ts";
import { nodeChoiceWarnings, podAffinityWarnings } from "./placement-warnings.ts";

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

/** Annotations that were fields before they were fields. */
const oldAnnotations: Readonly<Record<string, string>> = {
  "scheduler.alpha.kubernetes.io/critical-pod": 'non-functional in v1.16+; use the "priorityClassName" field instead',
  "security.alpha.kubernetes.io/sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
  "security.alpha.kubernetes.io/unsafe-sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
};
const noSeccomp = 'non-functional in v1.27+; use the "seccompProfile" field instead';

interface AnyTemplate {
  readonly metadata?: { readonly annotations?: Readonly<Record<string, string>> } | undefined;
  readonly spec?: PodSpec | undefined;
}

type Annotations = Readonly<Record<string, string>>;

/**
 * Warnings about a pod, or what pods are made from, that is valid and yet hardly meant so. `path` is where it stands: "" for a pod itself,
 * `spec.template` for that of a Deployment.
 */
export function podWarnings(template: AnyTemplate | undefined, path: string): string[] {
  const { spec } = template ?? {};
  if (!spec) return [];
  const annotations = template?.metadata?.annotations ?? {};
  const prefix = path === "" ? "" : `${path}.`;
  const at = `${prefix}spec`;
  const { terminationGracePeriodSeconds: grace = 0, imagePullSecrets = [], hostAliases = [], overhead = {} } = spec;
  const marks = `${prefix}metadata.annotations`;
  const containers = containersWithPath(spec, at);
  return [
    ...nodeChoiceWarnings(spec, at),
    ...Object.entries(oldAnnotations).flatMap(([key, text]) =>
      key in annotations ? [`${marks}[${key}]: ${text}`] : [],
    ),
    ...volumeWarnings(spec, at),
    ...repeated(hostAliases.map(({ ip }) => ip)).map(
      (i) => `${at}.hostAliases[${i}].ip: duplicate ip ${JSON.stringify(hostAliases[i]?.ip)}`,
    ),
    ...repeated(imagePullSecrets.map(({ name = "" }) => name)).map(
      (i) => `${at}.imagePullSecrets[${i}].name: duplicate name ${JSON.stringify(imagePullSecrets[i]?.name ?? "")}`,
    ),
    ...imagePullSecrets.flatMap(({ name }, i) =>
      name ? [] : [`${at}.imagePullSecrets[${i}].name: invalid empty name ""`],
    ),
    ...fractions(overhead, `${at}.overhead`),
    ...(!spec.securityContext?.seccompProfile && "seccomp.security.alpha.kubernetes.io/pod" in annotations
      ? [`${marks}[seccomp.security.alpha.kubernetes.io/pod]: ${noSeccomp}`]
      : []),
    ...containers.flatMap(({ container, at: here }) => [
      ...annotationWarnings(container, spec, annotations, marks, path !== ""),
      ...containerWarnings(container, here),
    ]),
    ...portWarnings(containers),
    ...(grace < 0
      ? [`${at}.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1`]
      : []),
    ...podAffinityWarnings(spec.affinity, at),
  ];
}

interface Placed {
  readonly container: Pick<Container, "name" | "env" | "ports" | "resources" | "securityContext">;
  readonly at: string;
}

const containersWithPath = (spec: PodSpec, at: string): Placed[] =>
  (["initContainers", "containers", "ephemeralContainers"] as const).flatMap((field) =>
    (spec[field] ?? []).map((container, i) => ({ container, at: `${at}.${field}[${i}]` })),
  );

/** Places of what has been there before. */
const repeated = (values: readonly string[]): number[] =>
  values.flatMap((value, i) => (values.indexOf(value) < i ? [i] : []));

function volumeWarnings({ volumes = [] }: PodSpec, at: string): string[] {
  const tokens = new Set(
    volumes.flatMap(({ projected }) =>
      (projected?.sources ?? []).flatMap(({ serviceAccountToken: token }) => (token ? [token.path] : [])),
    ),
  );
  const old = volumes.flatMap((volume, i) =>
    Object.entries(oldVolumes).flatMap(([source, { field, since }]) =>
      source in volume ? [`${at}.volumes[${i}].${field ?? source}: deprecated in ${since}`] : [],
    ),
  );
  if (tokens.size === 0) return old;
  const hidden = volumes.flatMap(({ projected }, i) =>
    (projected?.sources ?? []).flatMap(({ configMap, secret, downwardAPI, clusterTrustBundle: bundle }) => {
      const here = `${at}.volumes[${i}].projected.sources`;
      const taken = (path: string, where: string): string[] =>
        tokens.has(path)
          ? [`${here}.${where}: has duplicated path with ServiceAccountToken ${JSON.stringify(path)}`]
          : [];
      return [
        ...(configMap?.items ?? []).flatMap(({ path }, j) => taken(path, `configMap[${j}]`)),
        ...(secret?.items ?? []).flatMap(({ path }, j) => taken(path, `secrets[${j}]`)),
        ...(downwardAPI?.items ?? []).flatMap(({ path }, j) => taken(path, `downwardAPI[${j}]`)),
        ...(bundle ? taken(bundle.path, "ClusterTrustBundle") : []),
      ];
    }),
  );
  return [...old, ...hidden];
}

/** Annotations about one container for which there are fields. `isTemplate`: a pod's own profile is looked at elsewhere. */
function annotationWarnings(
  { name, securityContext }: Placed["container"],
  spec: PodSpec,
  annotations: Annotations,
  marks: string,
  isTemplate: boolean,
): string[] {
  const seccomp = `container.seccomp.security.alpha.kubernetes.io/${name}`;
  const profile = `container.apparmor.security.beta.kubernetes.io/${name}`;
  const hasProfile = Boolean(spec.securityContext?.appArmorProfile ?? securityContext?.appArmorProfile);
  return [
    ...(!securityContext?.seccompProfile && seccomp in annotations ? [`${marks}[${seccomp}]: ${noSeccomp}`] : []),
    ...(isTemplate && !hasProfile && profile in annotations
      ? [`${marks}[${profile}]: deprecated since v1.30; use the "appArmorProfile" field instead`]
      : []),
  ];
}

function fractions(amounts: Readonly<Record<string, string>>, path: string): string[] {
  return ["memory", "ephemeral-storage"].flatMap((name) => {
    const amount = amounts[name] ?? "0";
    if (parseQuantity(amount).nano % whole === 0n) return [];
    return [`${path}[${name}]: fractional byte value ${JSON.stringify(amount)} is invalid, must be an integer`];
  });
}

function containerWarnings({ env = [], resources = {} }: Placed["container"], path: string): string[] {
  const { limits = {}, requests = {} } = resources;
  const sized = ["memory", "ephemeral-storage"].flatMap((name) => [
    ...fractions(pick(limits, name), `${path}.resources.limits`),
    ...fractions(pick(requests, name), `${path}.resources.requests`),
  ]);
  const hidden = env.flatMap(({ name, value = "", valueFrom }, i) => {
    if (env.findIndex((other) => other.name === name) === i) return [];
    // What is made of the value before is meant so.
    const own = `$(${name})`;
    if (!valueFrom && value !== own && value.includes(own)) return [];
    return [
      `${path}.env[${i}]: hides previous definition of ${JSON.stringify(name)}, which may be dropped when using apply`,
    ];
  });
  return [...sized, ...hidden];
}

const pick = (amounts: Readonly<Record<string, string>>, name: string): Record<string, string> => {
  const amount = amounts[name];
  return amount === undefined ? {} : { [name]: amount };
};

/** Ports of all containers: they share one address. */
function portWarnings(containers: readonly Placed[]): string[] {
  const seen = new Map<string, { readonly at: string; readonly port: ContainerPort }[]>();
  return containers.flatMap(({ container, at }) =>
    (container.ports ?? []).flatMap((port, i) => {
      const here = `${at}.ports[${i}]`;
      const key = `${port.containerPort}/${port.protocol ?? ""}`;
      const others = seen.get(key) ?? [];
      seen.set(key, [...others, { at: here, port }]);
      const { name = "", hostPort = 0, containerPort, protocol = "", hostIP = "" } = port;
      const alone = `{Name:${name} HostPort:${hostPort} ContainerPort:${containerPort} Protocol:${protocol} HostIP:${hostIP}}`;
      return [
        ...(hostIP !== "" && hostPort === 0 ? [`${here}: hostIP set without hostPort: ${alone}`] : []),
        ...others.flatMap((other) => {
          const how = overlap(port, other.port);
          return how ? [`${here}: ${how} port definition with ${other.at}`] : [];
        }),
      ];
    }),
  );
}

function overlap(a: ContainerPort, b: ContainerPort): string | undefined {
  const [portA, portB] = [a.hostPort ?? 0, b.hostPort ?? 0];
  const [ipA, ipB] = [a.hostIP ?? "", b.hostIP ?? ""];
  if (portA === portB && ipA === ipB) return "duplicate";
  if (portA === 0 || portB === 0) return "overlapping";
  return portA === portB && (ipA === "") !== (ipB === "") ? "dangerously ambiguous" : undefined;
}
