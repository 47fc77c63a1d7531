import type { Ingress, IngressTLS, Secret } from "../kube/index.ts";
import { createClaims } from "./claims.ts";
import { derive } from "./derived.ts";
import { isRuleHost } from "./host.ts";
import type { Certificate, ObjectRef, Owner } from "./model.ts";
import { refOf, textOf } from "./owner.ts";
import type { Problem } from "./problem.ts";
import { type Ask, recall, type Remembered } from "./recall.ts";

/** Says what is wrong with a PEM certificate chain and its private key; `undefined` when a server can use them. */
export type InspectKeyPair = (certificate: string, key: string) => string | undefined;

/** The same for a Secret. */
export type InspectSecret = (secret: Secret, inspect: InspectKeyPair) => string | undefined;

/** Says what is wrong with the key pair of a `kubernetes.io/tls` Secret. */
export const inspectSecret: InspectSecret = (secret, inspect) => {
  const pair = readKeyPair(secret);
  return typeof pair === "string" ? pair : inspect(pair.certificate, pair.key);
};

export interface TlsInput {
  /** By `namespace/name`. */
  readonly secret: (key: string) => Secret | undefined;
  readonly inspect: (secret: Secret) => string | undefined;
  /** Secret, as `namespace/name`, for names that no Ingress has one for. */
  readonly defaultCertificate?: string;
  /** The Secrets that may be others than the last time. Default: all. */
  readonly changed?: ReadonlySet<string>;
}

export interface TlsTable {
  readonly certificates: ReadonlyMap<string, Certificate>;
  readonly problems: readonly Problem[];
}

/**
 * The certificates that Ingresses ask for, by server name. `ingresses` is oldest first: who comes first keeps a name.
 * A `tls` entry without hosts covers the hosts of the Ingress's rules, or any name when a rule has none.
 */
export function readTls(ingresses: readonly Ingress[], input: TlsInput): TlsTable {
  return createTlsReader().read(ingresses, input);
}

/** `readTls` of one list after the other: it costs a look at each Ingress, and work for what is another one. */
export interface TlsReader {
  /** `certificates` is the same object as the last time when it says the same. */
  read(ingresses: readonly Ingress[], input: TlsInput): TlsTable;
  /** Whether the Secret was asked for, there or not. */
  uses(secret: string): boolean;
}

/** A name that an Ingress wants a certificate for. */
interface Wish {
  readonly name: string;
  readonly secret: Secret;
  /** The field of the name, and that of the Secret. */
  readonly field: string;
  readonly secretField: string;
}

/** What one object says of certificates, with the Secrets as they are. */
interface Wishes {
  readonly object: ObjectRef;
  readonly wishes: readonly Wish[];
  readonly problems: readonly Problem[];
  /** The Secrets that it names, by `namespace/name`. */
  readonly secrets: readonly string[];
  /** It takes what nobody else wants, and complains of nobody. */
  readonly last?: true;
}

interface World {
  secret: Secret | undefined;
}

export function createTlsReader(): TlsReader {
  const known = new WeakMap<Ingress, Remembered<World, Wishes>>();
  let standard: { readonly key: string; readonly said: Remembered<World, Wishes> } | undefined;
  const byName = createClaims<Wishes>(({ wishes }) => wishes.map(({ name }) => name));
  const bySecret = createClaims<Wishes>(({ secrets }) => secrets);
  const conflicts = new Map<string, readonly Problem[]>();
  let certificates: ReadonlyMap<string, Certificate> = new Map();

  function wishesOf(ingresses: readonly Ingress[], input: TlsInput): Wishes[] {
    const { defaultCertificate: key, changed } = input;
    const stale = changed && new Set([...changed].flatMap((secret) => bySecret.of(secret)));
    const ask: Ask<World> = (_what, secret) => input.secret(secret);
    const all: Wishes[] = [];
    for (const ingress of ingresses) {
      if (!ingress.spec.tls?.length) continue;
      let said = known.get(ingress);
      // Of what was not listed the last time it is not known what has changed since.
      if (!said || !stale || stale.has(said.value) || !bySecret.includes(said.value)) {
        said = recall(said, ask, (asked) => readWishes(ingress, asked, input.inspect));
        known.set(ingress, said);
      }
      all.push(said.value);
    }
    if (key === undefined) return all;
    const before = standard?.key === key ? standard.said : undefined;
    standard = { key, said: recall(before, ask, (asked) => readDefault(key, asked, input.inspect)) };
    return [...all, standard.said.value];
  }

  /** Who comes first keeps a name; later ones that want another Secret for it get a problem. */
  function certificateFor(name: string): Certificate | undefined {
    const found: Problem[] = [];
    let first: { readonly object: ObjectRef; readonly wish: Wish } | undefined;
    for (const { object, wishes, last } of byName.of(name))
      for (const wish of wishes) {
        if (wish.name !== name) continue;
        first ??= { object, wish };
        const { namespace, name: secret } = first.wish.secret.metadata;
        if (last || (wish.secret.metadata.namespace === namespace && wish.secret.metadata.name === secret)) continue;
        found.push({
          object,
          field: wish.field,
          reason: "Conflict",
          message: `${textOf(first.object)} is older and serves ${name || "all other names"} with Secret ${namespace ?? ""}/${secret}`,
          remedy: "use the same Secret, or leave the host to one Ingress",
        });
      }
    if (found.length > 0) conflicts.set(name, found);
    else conflicts.delete(name);
    return first && certificateOf(name, first.wish.secret, { object: first.object, field: first.wish.secretField });
  }

  return {
    read(ingresses, input) {
      const all = wishesOf(ingresses, input);
      bySecret.follow(all);
      const touched = byName.follow(all);
      certificates = derive(
        certificates,
        [...touched].map((name) => [name, certificateFor(name)] as const),
      );
      return {
        certificates,
        problems: [...all.flatMap(({ problems }) => problems), ...[...conflicts.values()].flat()],
      };
    },
    uses: (secret) => bySecret.has(secret),
  };
}

function readWishes(ingress: Ingress, ask: Ask<World>, inspect: TlsInput["inspect"]): Wishes {
  const object = refOf(ingress);
  const namespace = ingress.metadata.namespace ?? "";
  const wishes: Wish[] = [];
  const problems: Problem[] = [];
  const secrets: string[] = [];
  for (const [index, tls] of (ingress.spec.tls ?? []).entries()) {
    // Without a Secret the hosts are served with the default certificate.
    if (!tls.secretName) continue;
    const field = `spec.tls[${index}]`;
    const secretField = `${field}.secretName`;
    const key = `${namespace}/${tls.secretName}`;
    secrets.push(key);
    const secret = ask("secret", key);
    const wrong = secret && inspect(secret);
    if (secret && wrong === undefined)
      for (const { name, field: where } of namesOf(ingress, tls, field))
        wishes.push({ name, secret, field: where, secretField });
    else
      problems.push({
        object,
        field: secretField,
        reason: wrong ? "InvalidCertificate" : "SecretNotFound",
        message: `Secret ${key} ${wrong ?? "does not exist"}; its hosts get the default certificate`,
        remedy: `kubectl create secret tls ${tls.secretName} --namespace ${namespace} --cert=FILE --key=FILE`,
      });
  }
  return { object, wishes, problems, secrets };
}

function readDefault(key: string, ask: Ask<World>, inspect: TlsInput["inspect"]): Wishes {
  const [namespace = "", name = ""] = key.split("/");
  const object = { kind: "Secret", namespace, name };
  const secret = ask("secret", key);
  const wrong = secret && inspect(secret);
  const field = "data";
  const common = { object, secrets: [key], last: true } as const;
  if (secret && wrong === undefined)
    return { ...common, wishes: [{ name: "", secret, field, secretField: field }], problems: [] };
  const problem: Problem = {
    object,
    field,
    reason: wrong ? "InvalidCertificate" : "SecretNotFound",
    message: `Secret ${key}, the default certificate, ${wrong ?? "does not exist"}; a self-signed one is served`,
    remedy: `kubectl create secret tls ${name} --namespace ${namespace} --cert=FILE --key=FILE`,
  };
  return { ...common, wishes: [], problems: [problem] };
}

function certificateOf(hostname: string, secret: Secret, owner: Owner): Certificate {
  const version = `${secret.metadata.uid ?? ""}/${secret.metadata.resourceVersion ?? ""}`;
  return { hostname, secret: refOf(secret), version, owner };
}

/** Certificate chain and key of a `kubernetes.io/tls` Secret as PEM, or what is wrong with it. */
export function readKeyPair(secret: Secret): { certificate: string; key: string } | string {
  const part = (name: string): string => Buffer.from(secret.data?.[name] ?? "", "base64").toString("latin1");
  const [certificate, key] = [part("tls.crt"), part("tls.key")];
  if (!certificate) return "has no data tls.crt";
  if (!key) return "has no data tls.key";
  return { certificate, key };
}

function namesOf(ingress: Ingress, tls: IngressTLS, field: string): { name: string; field: string }[] {
  if (tls.hosts && tls.hosts.length > 0)
    return tls.hosts
      .map((host, index) => ({ name: host, field: `${field}.hosts[${index}]` }))
      .filter(({ name }) => isRuleHost(name));
  const hosts = (ingress.spec.rules ?? []).map((rule) => rule.host ?? "");
  const names = hosts.length === 0 ? [""] : [...new Set(hosts)];
  return names.filter((name) => name === "" || isRuleHost(name)).map((name) => ({ name, field }));
}
