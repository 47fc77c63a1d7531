import type { CertificateSigner } from "../apiserver/index.ts";
import type { Component } from "../system/index.ts";
import { startAutoscaler } from "./autoscaling/controller.ts";
import { startCertificates } from "./certificates/certificates.ts";
import { startClusterRoleAggregation } from "./cluster-role/aggregation.ts";
import type { ControllerContext } from "./context.ts";
import { startCronJobController } from "./cron-job/controller.ts";
import { startDaemonSetController } from "./daemon-set/controller.ts";
import { startDeploymentController } from "./deployment/controller.ts";
import { startDisruptionController } from "./disruption/controller.ts";
import { startEndpointSliceController } from "./endpoint-slice/controller.ts";
import { startEndpointSliceMirroring } from "./endpoint-slice/mirroring.ts";
import { startEndpointsController } from "./endpoints/controller.ts";
import { startEphemeralVolumes } from "./ephemeral-volume/controller.ts";
import { startGarbageCollector } from "./garbage/controller.ts";
import { startJobController } from "./job/controller.ts";
import { startJobExpiry } from "./job/ttl.ts";
import { startNamespaceController } from "./namespace/controller.ts";
import { startNamespaceDefaults } from "./namespace/defaults.ts";
import { startTaintEviction } from "./node/eviction.ts";
import { startNodeLifecycle } from "./node/lifecycle.ts";
import { type NodePrefix, startPodCidrAllocator } from "./node/pod-cidr.ts";
import { startPodGarbageCollector } from "./node/pod-garbage.ts";
import { startTokenSecrets, type LegacyTokenSigner } from "./service-account/token-secrets.ts";
import { startResourceQuotaController } from "./resource-quota/controller.ts";
import { startClaimBinding } from "./persistent-volume/claims.ts";
import { startVolumePhases } from "./persistent-volume/volumes.ts";
import { startAttributesClassProtection } from "./volume-protection/attributes-class.ts";
import { startClaimProtection, startVolumeProtection } from "./volume-protection/controller.ts";
import { startStatefulSetController } from "./stateful-set/controller.ts";
import { startReplicaSetController, startReplicationController } from "./replica-set/controller.ts";

export interface ControllersOptions extends ControllerContext {
  /** Ranges that nodes get their pod addresses from, at most one of a family: `10.42.0.0/16`. */
  readonly clusterCIDRs: readonly string[];
  /** Length of the prefix of a node's share, by family. Default: 24 and 64. */
  readonly nodePrefix?: NodePrefix;
  /** PEM of the authority that signs the API server's certificate: pods find it in `kube-root-ca.crt`. */
  readonly rootCA: string;
  /** Signs approved requests for certificates. Absent: somebody else does. */
  readonly signer?: CertificateSigner;
  /** Makes the tokens of Secrets. Absent: somebody else does. */
  readonly signToken?: LegacyTokenSigner;
}

/** Starts all controllers of a cluster. `ready` settles when each of them has seen all there is. */
export function startControllers(options: ControllersOptions): Component {
  const { signer, signToken } = options;
  const all = [
    startNamespaceDefaults(options),
    startPodCidrAllocator(options),
    startDeploymentController(options),
    startReplicaSetController(options),
    startReplicationController(options),
    startStatefulSetController(options),
    startDaemonSetController(options),
    startCronJobController(options),
    startJobController(options),
    startJobExpiry(options),
    startDisruptionController(options),
    startAutoscaler(options),
    startEndpointSliceController(options),
    startEndpointSliceMirroring(options),
    startEndpointsController(options),
    startNamespaceController(options),
    startGarbageCollector(options),
    startNodeLifecycle(options),
    startTaintEviction(options),
    startPodGarbageCollector(options),
    startClusterRoleAggregation(options),
    startResourceQuotaController(options),
    startClaimBinding(options),
    startEphemeralVolumes(options),
    startVolumePhases(options),
    startClaimProtection(options),
    startVolumeProtection(options),
    startAttributesClassProtection(options),
    ...(signer ? [startCertificates({ ...options, signer })] : []),
    ...(signToken ? [startTokenSecrets({ ...options, signToken })] : []),
  ];
  const ready = Promise.all(all.map((part) => part.ready)).then(() => {});
  ready.catch(() => {});
  return {
    name: "controllers",
    ready,
    stopped: Promise.all(all.map(({ stopped }) => stopped)).then(() => {}),
  };
}
