import {
  generateName,
  resources,
  type Pod,
  type PodSpec,
  type ServiceAccount,
  type Volume,
  type VolumeMount,
} from "../../kube/index.ts";
import { forbidden, type Admission } from "../registry/index.ts";
import { keyFor, storedBytes, type Storage } from "../storage/index.ts";

const defaultName = "default";
/** Where programs look for the token of their pod. */
const tokenPath = "/var/run/secrets/kubernetes.io/serviceaccount";
const mirrorAnnotation = "kubernetes.io/config.mirror";
const mountableAnnotation = "kubernetes.io/enforce-mountable-secrets";
/** Seconds that a token holds: an hour, and a little for clocks that differ. The kubelet asks for a new one before. */
const tokenSeconds = 3607;

/**
 * A Pod runs as an account of its namespace: the one it names, which must exist, or `default`. It gets the account's secrets to pull images
 * with and, unless Pod or account say no, a token for the API in each container. `now` in milliseconds.
 */
export function serviceAccount(storage: Storage, now: () => number): Admission {
  const kind = resources.ServiceAccount;

  const accountOf = async (namespace: string, name: string, dryRun: boolean): Promise<ServiceAccount | undefined> => {
    const key = keyFor(kind, { namespace, name });
    await storage.caughtUp();
    const found = storage.of(kind).get(key)?.object;
    if (found || name !== defaultName) return found;
    // Its controller would make it in a moment: the first pod of a namespace shall not fail for that.
    const made = newAccount(namespace, now());
    if (dryRun) return made;
    await storage.write([{ key, modRevision: 0 }], [{ type: "put", key, value: storedBytes(kind, made) }]);
    await storage.caughtUp();
    return storage.of(kind).get(key)?.object ?? made;
  };

  const admit = async (spec: PodSpec, namespace: string, name: string, dryRun: boolean): Promise<void> => {
    spec.serviceAccountName ||= spec.serviceAccount || defaultName;
    spec.serviceAccount = spec.serviceAccountName;
    const refuse = (why: string): never => {
      throw forbidden(resources.Pod, name, why);
    };
    const account = await accountOf(namespace, spec.serviceAccountName, dryRun);
    if (!account)
      return refuse(
        `error looking up service account ${namespace}/${spec.serviceAccountName}: serviceaccount ${JSON.stringify(spec.serviceAccountName)} not found`,
      );
    if (account.metadata.annotations?.[mountableAnnotation] === "true") checkSecrets(spec, account, refuse);
    const automount = spec.automountServiceAccountToken ?? account.automountServiceAccountToken ?? true;
    if (automount) mountToken(spec);
    if (!spec.imagePullSecrets?.length && account.imagePullSecrets?.length)
      spec.imagePullSecrets = account.imagePullSecrets.map((one) => ({ ...one }));
  };

  return ({ operation, context, object, name }) => {
    if (operation !== "CREATE" || context.resource !== resources.Pod || context.subresource !== "" || !object)
      return undefined;
    const pod = object as Pod;
    const { spec, metadata } = pod;
    if (!spec) return undefined;
    if (metadata.annotations?.[mirrorAnnotation] !== undefined) {
      checkMirror(spec, name);
      return undefined;
    }
    return admit(spec, context.namespace, name, context.dryRun);
  };
}

function newAccount(namespace: string, now: number): ServiceAccount {
  const creationTimestamp = `${new Date(now).toISOString().slice(0, 19)}Z`;
  return {
    apiVersion: "v1",
    kind: "ServiceAccount",
    metadata: { name: defaultName, namespace, uid: crypto.randomUUID(), creationTimestamp },
  };
}

/** A pod that a kubelet runs by itself is only shown here: it has no account. */
function checkMirror(spec: PodSpec, name: string): void {
  const refuse = (why: string): never => {
    throw forbidden(resources.Pod, name, why);
  };
  if (spec.serviceAccountName) refuse("a mirror pod may not reference service accounts");
  const hasSecret = spec.volumes?.some(({ secret }) => secret !== undefined) ?? false;
  if (hasSecret) refuse("a mirror pod may not reference secrets");
  const hasToken = spec.volumes?.some(({ projected }) =>
    projected?.sources?.some((source) => source.serviceAccountToken),
  );
  if (hasToken) refuse("a mirror pod may not use ServiceAccountToken volume projections");
}

function checkSecrets(spec: PodSpec, account: ServiceAccount, refuse: (why: string) => never): void {
  const allowed = new Set((account.secrets ?? []).map(({ name }) => name));
  const by = `because service account ${account.metadata.name} does not reference that`;
  for (const { secret } of spec.volumes ?? [])
    if (secret && !allowed.has(secret.secretName))
      refuse(`volume with secret.secretName=${JSON.stringify(secret.secretName ?? "")} is not allowed ${by} secret`);
  const lists = [
    ["init container", spec.initContainers ?? []],
    ["container", spec.containers],
  ] as const;
  for (const [what, containers] of lists)
    for (const { name, env = [] } of containers)
      for (const variable of env) {
        const secret = variable.valueFrom?.secretKeyRef?.name;
        if (secret !== undefined && !allowed.has(secret))
          refuse(
            `${what} ${name} with envVar ${variable.name} referencing secret.secretName=${JSON.stringify(secret)} is not allowed ${by} secret`,
          );
      }
  const pulls = new Set((account.imagePullSecrets ?? []).map(({ name }) => name));
  for (const [i, { name = "" }] of (spec.imagePullSecrets ?? []).entries())
    if (!pulls.has(name))
      refuse(`imagePullSecrets[${i}].name=${JSON.stringify(name)} is not allowed ${by} imagePullSecret`);
}

/** Gives each container that has nothing there a token, the cluster's authority and the pod's namespace (KEP-1205). */
function mountToken(spec: PodSpec): void {
  const volumes = spec.volumes ?? [];
  const known = volumes.find(({ name }) => name.startsWith("kube-api-access-"));
  const name = known?.name ?? generateName("kube-api-access-", Math.random);
  const mount: VolumeMount = { mountPath: tokenPath, name, readOnly: true };
  let used = false;
  for (const container of [...(spec.initContainers ?? []), ...spec.containers]) {
    if (container.volumeMounts?.some(({ mountPath }) => mountPath === tokenPath)) continue;
    container.volumeMounts = [...(container.volumeMounts ?? []), { ...mount }];
    used = true;
  }
  if (used && !known) spec.volumes = [...volumes, tokenVolume(name)];
}

function tokenVolume(name: string): Volume {
  return {
    name,
    projected: {
      defaultMode: 0o644,
      sources: [
        { serviceAccountToken: { expirationSeconds: tokenSeconds, path: "token" } },
        { configMap: { items: [{ key: "ca.crt", path: "ca.crt" }], name: "kube-root-ca.crt" } },
        {
          downwardAPI: {
            items: [{ fieldRef: { apiVersion: "v1", fieldPath: "metadata.namespace" }, path: "namespace" }],
          },
        },
      ],
    },
  };
}
