import type {
  Container,
  EphemeralContainer,
  LifecycleHandler,
  Pod,
  PodSpec,
  Probe,
  Volume,
} from "../generated/types.ts";
import { imageVersion } from "../values/image.ts";

type AnyContainer = Container | EphemeralContainer;

/** Every container of a pod: init, main, ephemeral. */
export function containersOf(spec: PodSpec): AnyContainer[] {
  return [...(spec.initContainers ?? []), ...(spec.containers ?? []), ...(spec.ephemeralContainers ?? [])];
}

/** Defaults of a pod's spec wherever it stands: in a Pod or in a template. */
export function defaultPodSpec(spec: PodSpec): void {
  spec.dnsPolicy ||= "ClusterFirst";
  spec.restartPolicy ||= "Always";
  spec.terminationGracePeriodSeconds ??= 30;
  spec.schedulerName ||= "default-scheduler";
  spec.securityContext ??= {};
  // The older name of the field is kept in step.
  const account = spec.serviceAccountName || spec.serviceAccount;
  if (account) spec.serviceAccountName = spec.serviceAccount = account;
  for (const container of containersOf(spec)) defaultContainer(container);
  for (const volume of spec.volumes ?? []) defaultVolume(volume);
}

const pullPolicyOf = (image: string): string => (imageVersion(image) === "latest" ? "Always" : "IfNotPresent");

function defaultContainer(container: AnyContainer): void {
  container.imagePullPolicy ||= pullPolicyOf(container.image ?? "");
  container.terminationMessagePath ||= "/dev/termination-log";
  container.terminationMessagePolicy ||= "File";
  container.resources ??= {};
  for (const port of container.ports ?? []) port.protocol ||= "TCP";
  for (const probe of [container.livenessProbe, container.readinessProbe, container.startupProbe]) {
    if (probe) defaultProbe(probe);
  }
  for (const handler of [container.lifecycle?.postStart, container.lifecycle?.preStop]) {
    if (handler) defaultHandler(handler);
  }
  for (const { valueFrom } of container.env ?? []) {
    if (valueFrom?.fieldRef) valueFrom.fieldRef.apiVersion ||= "v1";
    if (valueFrom?.resourceFieldRef) valueFrom.resourceFieldRef.divisor ??= "0";
    for (const reference of [valueFrom?.configMapKeyRef, valueFrom?.secretKeyRef]) if (reference) reference.name ??= "";
  }
}

function defaultProbe(probe: Probe): void {
  probe.timeoutSeconds ||= 1;
  probe.periodSeconds ||= 10;
  probe.successThreshold ||= 1;
  probe.failureThreshold ||= 3;
  defaultHandler(probe);
  if (probe.grpc) probe.grpc.service ??= "";
}

function defaultHandler({ httpGet }: LifecycleHandler | Probe): void {
  if (!httpGet) return;
  httpGet.path ||= "/";
  httpGet.scheme ||= "HTTP";
}

const ownFileMode = 0o644;

function defaultVolume(volume: Volume): void {
  if (Object.keys(volume).every((key) => key === "name")) volume.emptyDir = {};
  if (volume.secret) volume.secret.defaultMode ??= ownFileMode;
  if (volume.configMap) volume.configMap.defaultMode ??= ownFileMode;
  if (volume.downwardAPI) volume.downwardAPI.defaultMode ??= ownFileMode;
  if (volume.hostPath) volume.hostPath.type ??= "";
  const { projected } = volume;
  if (projected) projected.defaultMode ??= ownFileMode;
  const downward = [volume.downwardAPI, ...(projected?.sources ?? []).map((source) => source.downwardAPI)];
  for (const { fieldRef, resourceFieldRef } of downward.flatMap((source) => source?.items ?? [])) {
    if (fieldRef) fieldRef.apiVersion ||= "v1";
    if (resourceFieldRef) resourceFieldRef.divisor ??= "0";
  }
  if (volume.ephemeral?.volumeClaimTemplate) volume.ephemeral.volumeClaimTemplate.spec.volumeMode ??= "Filesystem";
  if (volume.image) volume.image.pullPolicy ||= pullPolicyOf(volume.image.reference ?? "");
  defaultRemoteVolume(volume);
  for (const { serviceAccountToken } of projected?.sources ?? []) {
    if (serviceAccountToken) serviceAccountToken.expirationSeconds ??= 3600;
  }
}

/** Defaults of volumes on other machines, of kinds that are old but still there. */
function defaultRemoteVolume({ iscsi, azureDisk, rbd, scaleIO }: Volume): void {
  if (iscsi) iscsi.iscsiInterface ||= "default";
  if (azureDisk) {
    azureDisk.cachingMode ??= "ReadWrite";
    azureDisk.kind ??= "Shared";
    azureDisk.fsType ??= "ext4";
    azureDisk.readOnly ??= false;
  }
  if (rbd) {
    rbd.pool ||= "rbd";
    rbd.user ||= "admin";
    rbd.keyring ||= "/etc/ceph/keyring";
  }
  if (scaleIO) {
    scaleIO.storageMode ||= "ThinProvisioned";
    scaleIO.fsType ||= "xfs";
  }
}

/** Defaults of a Pod itself, beyond those of its spec. */
export function defaultPod(pod: Pod): void {
  const spec = (pod.spec ??= { containers: [] });
  defaultPodSpec(spec);
  spec.enableServiceLinks ??= true;
  for (const container of [...(spec.initContainers ?? []), ...(spec.containers ?? [])]) {
    // What is limited and not asked for is asked for up to its limit.
    const { limits } = container.resources ?? {};
    if (limits)
      container.resources = { ...container.resources, requests: { ...limits, ...container.resources?.requests } };
    if (spec.hostNetwork) for (const port of container.ports ?? []) port.hostPort ||= port.containerPort;
  }
}
