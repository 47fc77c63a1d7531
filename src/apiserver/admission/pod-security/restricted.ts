import type { Volume } from "../../../kube/index.ts";
import { isSeccomp, procMount, seccompProfiles } from "./baseline.ts";
import {
  named,
  notInUserNamespace,
  notOnWindows,
  plural,
  quoted,
  setters,
  sorted,
  type Check,
  type CheckedPod,
} from "./check.ts";

function escalation({ containers }: CheckedPod) {
  const bad = containers.filter(({ securityContext }) => securityContext?.allowPrivilegeEscalation !== false);
  if (bad.length === 0) return undefined;
  return {
    reason: "allowPrivilegeEscalation != false",
    detail: `${named(bad)} must set securityContext.allowPrivilegeEscalation=false`,
  };
}

function capabilities({ containers }: CheckedPod) {
  const addedBy = ({ securityContext }: CheckedPod["containers"][number]): string[] =>
    (securityContext?.capabilities?.add ?? []).filter((one) => one !== "NET_BIND_SERVICE");
  const keeping = containers.filter(({ securityContext }) => !securityContext?.capabilities?.drop?.includes("ALL"));
  const adding = containers.filter((container) => addedBy(container).length > 0);
  const details = [
    ...(keeping.length > 0 ? [`${named(keeping)} must set securityContext.capabilities.drop=["ALL"]`] : []),
    ...(adding.length > 0
      ? [
          `${named(adding)} must not include ${quoted(sorted(adding.flatMap(addedBy)))} in securityContext.capabilities.add`,
        ]
      : []),
  ];
  return details.length > 0 ? { reason: "unrestricted capabilities", detail: details.join("; ") } : undefined;
}

const allowedVolumes: readonly (keyof Volume)[] = [
  "configMap",
  "csi",
  "downwardAPI",
  "emptyDir",
  "ephemeral",
  "image",
  "persistentVolumeClaim",
  "projected",
  "secret",
];

function volumes({ spec }: CheckedPod) {
  const bad = (spec.volumes ?? []).filter((volume) => !allowedVolumes.some((source) => volume[source] !== undefined));
  if (bad.length === 0) return undefined;
  const types = sorted(bad.map((volume) => Object.keys(volume).find((key) => key !== "name") ?? "unknown"));
  const uses = bad.length === 1 ? "uses" : "use";
  return {
    reason: "restricted volume types",
    detail: `${plural("volume", bad.length)} ${quoted(bad.map(({ name }) => name))} ${uses} ${plural("restricted volume type", types.length)} ${quoted(types)}`,
  };
}

function nonRoot({ spec, containers }: CheckedPod) {
  const pod = spec.securityContext?.runAsNonRoot;
  const reason = "runAsNonRoot != true";
  const who = setters(
    pod === false,
    containers.filter(({ securityContext }) => securityContext?.runAsNonRoot === false),
  );
  if (who !== undefined) return { reason, detail: `${who} must not set securityContext.runAsNonRoot=false` };
  const silent =
    pod === true ? [] : containers.filter(({ securityContext }) => securityContext?.runAsNonRoot === undefined);
  if (silent.length === 0) return undefined;
  return { reason, detail: `pod or ${named(silent)} must set securityContext.runAsNonRoot=true` };
}

function rootUser({ spec, containers }: CheckedPod) {
  const who = setters(
    spec.securityContext?.runAsUser === 0,
    containers.filter(({ securityContext }) => securityContext?.runAsUser === 0),
  );
  return who === undefined ? undefined : { reason: "runAsUser=0", detail: `${who} must not set runAsUser=0` };
}

function seccomp(pod: CheckedPod) {
  const wrong = seccompProfiles(pod);
  if (wrong) return wrong;
  if (isSeccomp(pod.spec.securityContext?.seccompProfile?.type ?? "")) return undefined;
  const silent = pod.containers.filter(({ securityContext }) => securityContext?.seccompProfile === undefined);
  if (silent.length === 0) return undefined;
  return {
    reason: "seccompProfile",
    detail: `pod or ${named(silent)} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"`,
  };
}

/** What the restricted level adds to the baseline, in the order in which violations are told. */
export const restrictedChecks: readonly Check[] = [
  { id: "allowPrivilegeEscalation", since: 8, check: escalation },
  { id: "allowPrivilegeEscalation", since: 25, check: notOnWindows(escalation) },
  { id: "capabilities_restricted", since: 22, overrides: "capabilities_baseline", check: capabilities },
  { id: "capabilities_restricted", since: 25, overrides: "capabilities_baseline", check: notOnWindows(capabilities) },
  { id: "procMount_restricted", since: 35, overrides: "procMount", check: procMount },
  { id: "restrictedVolumes", since: 0, overrides: "hostPathVolumes", check: volumes },
  { id: "runAsNonRoot", since: 0, check: nonRoot },
  { id: "runAsNonRoot", since: 35, check: notInUserNamespace(nonRoot) },
  { id: "runAsUser", since: 23, check: rootUser },
  { id: "runAsUser", since: 35, check: notInUserNamespace(rootUser) },
  { id: "seccompProfile_restricted", since: 19, overrides: "seccompProfile_baseline", check: seccomp },
  { id: "seccompProfile_restricted", since: 25, overrides: "seccompProfile_baseline", check: notOnWindows(seccomp) },
];
