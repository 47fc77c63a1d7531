import { named, notInUserNamespace, plural, quoted, setters, sorted, type Check, type CheckedPod } from "./check.ts";

const capabilities: ReadonlySet<string> = new Set([
  "AUDIT_WRITE",
  "CHOWN",
  "DAC_OVERRIDE",
  "FOWNER",
  "FSETID",
  "KILL",
  "MKNOD",
  "NET_BIND_SERVICE",
  "SETFCAP",
  "SETGID",
  "SETPCAP",
  "SETUID",
  "SYS_CHROOT",
]);

const sysctls: readonly (readonly [since: number, names: readonly string[]])[] = [
  [
    0,
    [
      "kernel.shm_rmid_forced",
      "net.ipv4.ip_local_port_range",
      "net.ipv4.tcp_syncookies",
      "net.ipv4.ping_group_range",
      "net.ipv4.ip_unprivileged_port_start",
    ],
  ],
  [27, ["net.ipv4.ip_local_reserved_ports"]],
  [
    29,
    [
      "net.ipv4.tcp_keepalive_time",
      "net.ipv4.tcp_fin_timeout",
      "net.ipv4.tcp_keepalive_intvl",
      "net.ipv4.tcp_keepalive_probes",
    ],
  ],
  [32, ["net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"]],
];

const appArmorPrefix = "container.apparmor.security.beta.kubernetes.io/";
const isAppArmor = (type: string): boolean => type === "RuntimeDefault" || type === "Localhost";
export const isSeccomp = (type: string): boolean => type === "RuntimeDefault" || type === "Localhost";

function appArmor({ annotations, spec, containers }: CheckedPod) {
  const podType = spec.securityContext?.appArmorProfile?.type;
  const bad = containers.filter(
    ({ securityContext }) => !isAppArmor(securityContext?.appArmorProfile?.type ?? "Localhost"),
  );
  const types = sorted([
    ...(podType !== undefined && !isAppArmor(podType) ? [podType] : []),
    ...bad.map(({ securityContext }) => securityContext?.appArmorProfile?.type ?? ""),
  ]);
  const noted = Object.entries(annotations)
    .filter(
      ([key, value]) =>
        key.startsWith(appArmorPrefix) &&
        value !== "" &&
        value !== "runtime/default" &&
        !value.startsWith("localhost/"),
    )
    .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
    .sort();
  const who = [
    setters(podType !== undefined && !isAppArmor(podType), bad),
    noted.length > 0 ? plural("annotation", noted.length) : undefined,
  ].filter((one) => one !== undefined);
  if (who.length === 0) return undefined;
  const values = [...types, ...noted];
  return {
    reason: plural("forbidden AppArmor profile", values.length),
    detail: `${who.join(" and ")} must not set AppArmor profile type to ${quoted(values)}`,
  };
}

function addedCapabilities({ containers }: CheckedPod) {
  const added = (container: CheckedPod["containers"][number]): string[] =>
    (container.securityContext?.capabilities?.add ?? []).filter((one) => !capabilities.has(one));
  const bad = containers.filter((container) => added(container).length > 0);
  if (bad.length === 0) return undefined;
  return {
    reason: "non-default capabilities",
    detail: `${named(bad)} must not include ${quoted(sorted(bad.flatMap(added)))} in securityContext.capabilities.add`,
  };
}

function hostNamespaces({ spec }: CheckedPod) {
  const used = (["hostNetwork", "hostPID", "hostIPC"] as const).filter((field) => spec[field] === true);
  return used.length > 0
    ? { reason: "host namespaces", detail: used.map((field) => `${field}=true`).join(", ") }
    : undefined;
}

function hostPaths({ spec }: CheckedPod) {
  const names = (spec.volumes ?? []).filter(({ hostPath }) => hostPath !== undefined).map(({ name }) => name);
  if (names.length === 0) return undefined;
  return { reason: "hostPath volumes", detail: `${plural("volume", names.length)} ${quoted(names)}` };
}

function hostPorts({ containers }: CheckedPod) {
  const portsOf = (container: CheckedPod["containers"][number]): string[] =>
    (container.ports ?? []).flatMap(({ hostPort }) => (hostPort ? [String(hostPort)] : []));
  const bad = containers.filter((container) => portsOf(container).length > 0);
  if (bad.length === 0) return undefined;
  const ports = sorted(bad.flatMap(portsOf));
  const uses = bad.length === 1 ? "uses" : "use";
  return {
    reason: "hostPort",
    detail: `${named(bad)} ${uses} ${plural("hostPort", ports.length)} ${ports.join(", ")}`,
  };
}

interface Handler {
  readonly httpGet?: { readonly host?: string };
  readonly tcpSocket?: { readonly host?: string };
}

function probeHosts({ containers }: CheckedPod) {
  const hostsOf = (container: CheckedPod["containers"][number]): string[] => {
    const { livenessProbe, readinessProbe, startupProbe, lifecycle } = container;
    const handlers: (Handler | undefined)[] = [
      livenessProbe,
      readinessProbe,
      startupProbe,
      lifecycle?.postStart,
      lifecycle?.preStop,
    ];
    return handlers.flatMap((one) =>
      [one?.httpGet?.host, one?.tcpSocket?.host].filter((host): host is string => host !== undefined && host !== ""),
    );
  };
  const bad = containers.filter((container) => hostsOf(container).length > 0);
  if (bad.length === 0) return undefined;
  const hosts = sorted(bad.flatMap(hostsOf));
  const who = sorted(bad.map(({ name }) => name)).map((name) => ({ name }));
  return {
    reason: "probe or lifecycle host",
    detail: `${named(who)} ${who.length === 1 ? "uses" : "use"} ${plural("probe or lifecycle host", hosts.length)} ${quoted(hosts)}`,
  };
}

function privileged({ containers }: CheckedPod) {
  const bad = containers.filter(({ securityContext }) => securityContext?.privileged === true);
  if (bad.length === 0) return undefined;
  return { reason: "privileged", detail: `${named(bad)} must not set securityContext.privileged=true` };
}

export function procMount({ containers }: CheckedPod) {
  const typeOf = (container: CheckedPod["containers"][number]): string =>
    container.securityContext?.procMount ?? "Default";
  const bad = containers.filter((container) => typeOf(container) !== "Default");
  if (bad.length === 0) return undefined;
  const types = quoted(sorted(bad.map(typeOf)));
  return { reason: "procMount", detail: `${named(bad)} must not set securityContext.procMount to ${types}` };
}

interface SeLinux {
  readonly type?: string;
  readonly user?: string;
  readonly role?: string;
}

function seLinux(types: readonly string[]): Check["check"] {
  const isBad = (options: SeLinux = {}): boolean =>
    !types.includes(options.type ?? "") || Boolean(options.user) || Boolean(options.role);
  return ({ spec, containers }) => {
    const pod = spec.securityContext?.seLinuxOptions;
    const bad = containers.filter(({ securityContext }) => isBad(securityContext?.seLinuxOptions));
    const who = setters(isBad(pod), bad);
    if (who === undefined) return undefined;
    const all = [pod, ...bad.map(({ securityContext }) => securityContext?.seLinuxOptions)];
    const wrong = sorted(all.flatMap((one) => (types.includes(one?.type ?? "") ? [] : [one?.type ?? ""])));
    const what = [
      ...(wrong.length > 0 ? [`${plural("type", wrong.length)} ${quoted(wrong)}`] : []),
      ...(all.some((one) => one?.user) ? ["user may not be set"] : []),
      ...(all.some((one) => one?.role) ? ["role may not be set"] : []),
    ];
    return {
      reason: "seLinuxOptions",
      detail: `${who} set forbidden securityContext.seLinuxOptions: ${what.join("; ")}`,
    };
  };
}

/** Before the fields there were annotations. */
function seccompAnnotations({ annotations, containers }: CheckedPod) {
  const keys = [
    "seccomp.security.alpha.kubernetes.io/pod",
    ...containers.map(({ name }) => `container.seccomp.security.alpha.kubernetes.io/${name}`),
  ];
  const bad = sorted(
    keys.flatMap((key) => {
      const value = annotations[key];
      const fine =
        value === undefined ||
        value === "runtime/default" ||
        value === "docker/default" ||
        value.startsWith("localhost/");
      return fine ? [] : [`${key}=${JSON.stringify(value)}`];
    }),
  );
  if (bad.length === 0) return undefined;
  return { reason: "seccompProfile", detail: `forbidden ${plural("annotation", bad.length)} ${bad.join(", ")}` };
}

/** Profiles that are set and are none of the allowed. */
export function seccompProfiles({ spec, containers }: CheckedPod) {
  const pod = spec.securityContext?.seccompProfile?.type;
  const bad = containers.filter(
    ({ securityContext }) => !isSeccomp(securityContext?.seccompProfile?.type ?? "Localhost"),
  );
  const podIsBad = pod !== undefined && !isSeccomp(pod);
  const who = setters(podIsBad, bad);
  if (who === undefined) return undefined;
  const types = sorted([
    ...(podIsBad ? [pod] : []),
    ...bad.map(({ securityContext }) => securityContext?.seccompProfile?.type ?? ""),
  ]);
  return {
    reason: "seccompProfile",
    detail: `${who} must not set securityContext.seccompProfile.type to ${quoted(types)}`,
  };
}

function sysctlCheck(minor: number): Check["check"] {
  const allowed = new Set(sysctls.filter(([since]) => since <= minor).flatMap(([, names]) => names));
  return ({ spec }) => {
    const bad = (spec.securityContext?.sysctls ?? []).map(({ name }) => name).filter((name) => !allowed.has(name));
    return bad.length > 0 ? { reason: "forbidden sysctls", detail: bad.join(", ") } : undefined;
  };
}

function hostProcess({ spec, containers }: CheckedPod) {
  const bad = containers.filter(({ securityContext }) => securityContext?.windowsOptions?.hostProcess === true);
  const who = setters(spec.securityContext?.windowsOptions?.hostProcess === true, bad);
  if (who === undefined) return undefined;
  return { reason: "hostProcess", detail: `${who} must not set securityContext.windowsOptions.hostProcess=true` };
}

const seLinuxTypes = ["", "container_t", "container_init_t", "container_kvm_t"];

/** The baseline level, in the order in which violations are told. */
export const baselineChecks: readonly Check[] = [
  { id: "appArmorProfile", since: 0, check: appArmor },
  { id: "capabilities_baseline", since: 0, check: addedCapabilities },
  { id: "hostNamespaces", since: 0, check: hostNamespaces },
  { id: "hostPathVolumes", since: 0, check: hostPaths },
  { id: "hostPorts", since: 0, check: hostPorts },
  { id: "hostProbesAndHostLifecycle", since: 34, check: probeHosts },
  { id: "privileged", since: 0, check: privileged },
  { id: "procMount", since: 0, check: procMount },
  { id: "procMount", since: 35, check: notInUserNamespace(procMount) },
  { id: "seLinuxOptions", since: 0, check: seLinux(seLinuxTypes) },
  { id: "seLinuxOptions", since: 31, check: seLinux([...seLinuxTypes, "container_engine_t"]) },
  { id: "seccompProfile_baseline", since: 0, check: seccompAnnotations },
  { id: "seccompProfile_baseline", since: 19, check: seccompProfiles },
  ...sysctls.map(([since]) => ({ id: "sysctls", since, check: sysctlCheck(since) })),
  { id: "windowsHostProcess", since: 0, check: hostProcess },
];
