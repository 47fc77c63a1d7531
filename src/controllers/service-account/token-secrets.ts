import { startController, unless } from "../../client/index.ts";
import { resources, type Secret } from "../../kube/index.ts";
import type { Component } from "../../system/index.ts";
import type { ControllerContext } from "../context.ts";

/** Makes the token that a Secret holds for an account. */
export type LegacyTokenSigner = (draft: {
  readonly namespace: string;
  readonly account: { readonly name: string; readonly uid: string };
  readonly secret: string;
}) => Promise<string>;

const type = "kubernetes.io/service-account-token";
const nameAnnotation = "kubernetes.io/service-account.name";
const uidAnnotation = "kubernetes.io/service-account.uid";

/**
 * Fills Secrets of type `kubernetes.io/service-account-token` with a token of the account that they name, the authority and the
 * namespace, and removes those whose account has gone.
 */
export function startTokenSecrets(
  context: ControllerContext & { readonly rootCA: string; readonly signToken: LegacyTokenSigner },
): Component {
  const { client, informers, rootCA, signToken } = context;
  const secrets = informers.of(resources.Secret);
  const accounts = informers.of(resources.ServiceAccount);

  const reconcile = async (key: string): Promise<void> => {
    const [namespace = "", name = ""] = key.split("/");
    const secret = secrets.get({ namespace, name });
    if (!secret || secret.type !== type) return;
    const { annotations = {}, uid = "" } = secret.metadata;
    const accountName = annotations[nameAnnotation] ?? "";
    const account = accounts.get({ namespace, name: accountName });
    const wanted = annotations[uidAnnotation];
    if (!account || (wanted && wanted !== account.metadata.uid)) {
      await unless(
        client.delete(resources.Secret, { namespace, name }, { preconditions: { uid } }),
        "NotFound",
        "Conflict",
      );
      return;
    }
    const own = account.metadata.uid ?? "";
    const data = {
      "ca.crt": base64(rootCA),
      namespace: base64(namespace),
      token: secret.data?.["token"] ?? "",
    };
    if (data.token && wanted && Object.entries(data).every(([field, value]) => secret.data?.[field] === value)) return;
    data.token ||= base64(await signToken({ namespace, account: { name: accountName, uid: own }, secret: name }));
    const filled: Secret = {
      ...secret,
      metadata: { ...secret.metadata, annotations: { ...annotations, [uidAnnotation]: own } },
      data: { ...secret.data, ...data },
    };
    await unless(client.update(resources.Secret, filled), "NotFound", "Conflict");
  };

  const controller = startController({
    ...context,
    name: "token secrets",
    reconcile,
    after: [secrets.synced, accounts.synced],
  });
  const enqueue = ({ metadata }: Secret): void => controller.enqueue(`${metadata.namespace ?? ""}/${metadata.name}`);
  secrets.onChange(({ after }) => {
    if (after?.type === type) enqueue(after);
  });
  accounts.onChange(({ before, after }) => {
    const { namespace, name } = (after ?? before)?.metadata ?? {};
    for (const secret of secrets.list()) {
      const named = secret.metadata.annotations?.[nameAnnotation];
      if (secret.type === type && secret.metadata.namespace === namespace && named === name) enqueue(secret);
    }
  });
  return controller;
}

const base64 = (text: string): string => Buffer.from(text).toString("base64");
