import { resources, semanticEqual, type KubeObject, type Node, type Pod, type TokenRequest } from "../../kube/index.ts";
import { forbidden, type Admission, type AdmissionRequest } from "../registry/index.ts";
import { keyFor, type Storage } from "../storage/index.ts";

const group = "system:nodes";
const prefix = "system:node:";
const mirrorAnnotation = "kubernetes.io/config.mirror";
const reserved = "node-restriction.kubernetes.io";

/** Labels of Kubernetes' own that a kubelet may set on its node. */
const ownLabels: ReadonlySet<string> = new Set([
  "kubernetes.io/hostname",
  "kubernetes.io/os",
  "kubernetes.io/arch",
  "beta.kubernetes.io/os",
  "beta.kubernetes.io/arch",
  "beta.kubernetes.io/instance-type",
  "node.kubernetes.io/instance-type",
  "failure-domain.beta.kubernetes.io/region",
  "failure-domain.beta.kubernetes.io/zone",
  "topology.kubernetes.io/region",
  "topology.kubernetes.io/zone",
  "node.kubernetes.io/windows-build",
]);
const ownDomains = ["kubelet.kubernetes.io", "node.kubernetes.io"];

/** A kubelet changes its own node and the pods on it, and nothing else (NodeRestriction). A validating step. */
export function nodeRestriction(storage: Storage): Admission {
  const podOf = (namespace: string, name: string): Pod | undefined =>
    storage.of(resources.Pod).get(keyFor(resources.Pod, { namespace, name }))?.object as Pod | undefined;

  return (request) => {
    const { user, resource, subresource, namespace } = request.context;
    if (!user.groups.includes(group)) return;
    const refuse = (why: string): never => {
      throw forbidden(resource, request.name || (request.object?.metadata?.name ?? ""), why);
    };
    if (!user.name.startsWith(prefix)) {
      if (resource === resources.Node || resource === resources.Pod)
        refuse(`could not determine node from user ${JSON.stringify(user.name)}`);
      return;
    }
    const node = user.name.slice(prefix.length);
    switch (resource) {
      case resources.Pod:
        podFault(request, node, podOf(namespace, request.name), refuse);
        return;
      case resources.Node:
        nodeFault(request, node, refuse);
        return;
      case resources.Lease:
        if (namespace !== "kube-node-lease")
          refuse(`can only access leases in the ${JSON.stringify("kube-node-lease")} system namespace`);
        if ((request.object?.metadata.name ?? request.name) !== node)
          refuse("can only access node lease with the same name as the requesting node");
        return;
      case resources.CSINode:
        if ((request.object?.metadata.name ?? request.name) !== node)
          refuse("can only access CSINode with the same name as the requesting node");
        return;
      case resources.ServiceAccount:
        if (subresource === "token") tokenFault(request, node, podOf, refuse);
        return;
      default:
    }
  };
}

type Refuse = (why: string) => never;

function podFault(
  { operation, context, object, old }: AdmissionRequest,
  node: string,
  stored: Pod | undefined,
  refuse: Refuse,
): void {
  const who = `node ${JSON.stringify(node)}`;
  if (context.subresource === "status" && operation === "UPDATE") {
    if ((old as Pod).spec?.nodeName !== node)
      refuse(`${who} can only update pod status for pods with spec.nodeName set to itself`);
    if (!semanticEqual(old?.metadata.labels ?? {}, object?.metadata.labels ?? {}))
      refuse(`${who} cannot update labels through pod status`);
    return;
  }
  if (context.subresource === "eviction") {
    if (stored?.spec?.nodeName !== node) refuse(`${who} can only evict pods with spec.nodeName set to itself`);
    return;
  }
  if (context.subresource !== "") {
    if (operation !== "CONNECT")
      refuse(
        `unexpected pod subresource ${JSON.stringify(context.subresource)}, only 'status' and 'eviction' are allowed`,
      );
    return;
  }
  if (operation === "DELETE") {
    if ((old as Pod).spec?.nodeName !== node) refuse(`${who} can only delete pods with spec.nodeName set to itself`);
    return;
  }
  if (operation !== "CREATE") refuse(`unexpected operation ${JSON.stringify(operation)}`);
  const { metadata, spec } = object as Pod;
  if (metadata.annotations?.[mirrorAnnotation] === undefined)
    refuse(`pod does not have ${JSON.stringify(mirrorAnnotation)} annotation, ${who} can only create mirror pods`);
  if (spec?.nodeName !== node) refuse(`${who} can only create pods with spec.nodeName set to itself`);
  const [owner, ...others] = metadata.ownerReferences ?? [];
  if (others.length > 0) refuse(`${who} can only create pods with a single owner reference set to itself`);
  if (!owner) refuse(`${who} can only create pods with an owner reference set to itself`);
  if (owner?.apiVersion !== "v1" || owner.kind !== "Node" || owner.name !== node)
    refuse(`${who} can only create pods with an owner reference set to itself`);
  if (spec?.serviceAccountName) refuse(`${who} can not create pods that reference a service account`);
  const what = referred(spec?.volumes ?? []);
  if (what) refuse(`${who} can not create pods that reference ${what}`);
}

function referred(
  volumes: readonly { secret?: unknown; configMap?: unknown; persistentVolumeClaim?: unknown }[],
): string {
  if (volumes.some(({ secret }) => secret !== undefined)) return "secrets";
  if (volumes.some(({ configMap }) => configMap !== undefined)) return "configmaps";
  return volumes.some(({ persistentVolumeClaim }) => persistentVolumeClaim !== undefined)
    ? "persistentvolumeclaims"
    : "";
}

function nodeFault({ operation, object, old, name }: AdmissionRequest, node: string, refuse: Refuse): void {
  const target = object?.metadata.name ?? name;
  const who = `node ${JSON.stringify(node)}`;
  if (target !== node) refuse(`${who} is not allowed to modify node ${JSON.stringify(target)}`);
  if (operation !== "CREATE" && operation !== "UPDATE") return;
  if (operation === "UPDATE" && !semanticEqual((old as Node).spec?.taints ?? [], (object as Node).spec?.taints ?? []))
    refuse(`${who} is not allowed to modify taints`);
  if (
    operation === "UPDATE" &&
    !semanticEqual(old?.metadata.ownerReferences ?? [], object?.metadata.ownerReferences ?? [])
  )
    refuse(`${who} is not allowed to modify ownerReferences`);
  const wrong = changedLabels(object, old).filter((label) => !mayLabel(label));
  if (wrong.length > 0)
    refuse(
      operation === "CREATE"
        ? `${who} is not allowed to set the following labels: ${wrong.join(", ")}`
        : `is not allowed to modify labels: ${wrong.join(", ")}`,
    );
}

function changedLabels(object: KubeObject | undefined, old: KubeObject | undefined): string[] {
  const now = object?.metadata.labels ?? {};
  const before = old?.metadata.labels ?? {};
  return [...new Set([...Object.keys(now), ...Object.keys(before)])].filter((key) => now[key] !== before[key]).sort();
}

function mayLabel(label: string): boolean {
  const slash = label.indexOf("/");
  const domain = slash < 0 ? "" : label.slice(0, slash);
  const isIn = (suffix: string): boolean => domain === suffix || domain.endsWith(`.${suffix}`);
  if (isIn(reserved)) return false;
  if (!isIn("kubernetes.io") && !isIn("k8s.io")) return true;
  return ownLabels.has(label) || ownDomains.some(isIn);
}

function tokenFault(
  { object, context }: AdmissionRequest,
  node: string,
  podOf: (namespace: string, name: string) => Pod | undefined,
  refuse: Refuse,
): void {
  const ref = (object as unknown as TokenRequest | undefined)?.spec?.boundObjectRef;
  if (ref?.kind !== "Pod" || ref.apiVersion !== "v1" || !ref.name) refuse("node requested token not bound to a pod");
  if (!ref?.uid) refuse("node requested token with a pod binding without a uid");
  const pod = podOf(context.namespace, ref?.name ?? "");
  if (!pod) refuse(`pods ${JSON.stringify(ref?.name ?? "")} not found`);
  if (pod?.metadata.uid !== ref?.uid)
    refuse(
      `the UID in the bound object reference (${ref?.uid ?? ""}) does not match the UID in record. The object might have been deleted and then recreated`,
    );
  if (pod?.spec?.nodeName !== node) refuse(`node requested token bound to a pod scheduled on a different node`);
}
