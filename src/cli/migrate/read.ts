import type { Client } from "../../client/index.ts";
import {
  type ConfigMap,
  type EndpointSlice,
  type Ingress,
  type IngressClass,
  isStatus,
  keyOf,
  type KubeObject,
  nameOfKey,
  type Resource,
  resources,
  type Secret,
  type Service,
} from "../../kube/index.ts";
import { asking } from "../connect.ts";
import { CliError } from "../errors.ts";
import { checkCluster, findSource, readFiles } from "../explain/source.ts";

export interface ReadFlags {
  readonly filename?: readonly string[];
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly configMap?: string;
  readonly class?: readonly string[];
}

/** What is moved: the Ingresses of ingress-nginx, and what they name. */
export interface Moving {
  readonly ingresses: readonly Ingress[];
  readonly classes: readonly IngressClass[];
  readonly options: Readonly<Record<string, string>>;
  readonly service: (key: string) => Service | undefined;
  readonly secret: (key: string) => Secret | undefined;
  /** Ingresses that are not ingress-nginx's, and why. */
  readonly others: readonly { readonly object: string; readonly why: string }[];
  /** What could not be read or had to be assumed. */
  readonly warnings: readonly string[];
  /** Services and Secrets are assumed where the files do not have them. */
  readonly fromFiles: boolean;
}

const controllers = new Set(["k8s.io/ingress-nginx", "fairlead.dev/ingress-nginx"]);
const legacy = "kubernetes.io/ingress.class";

/** Reads the Ingresses of ingress-nginx from files, or from a cluster. Throws CliError. */
export async function readMoving(flags: ReadFlags): Promise<Moving> {
  const files = flags.filename ?? [];
  if (files.length > 0 && (flags.kubeconfig !== undefined || flags.context !== undefined))
    throw new CliError("USAGE", "-f and --kubeconfig name two places", "give one of them");
  const read = files.length > 0 ? await fromFiles(files, flags) : await fromCluster(flags);
  return select(read, flags.class ?? []);
}

interface Read {
  readonly ingresses: readonly Ingress[];
  readonly classes: readonly IngressClass[];
  readonly options: Readonly<Record<string, string>>;
  readonly service: Moving["service"];
  readonly secret: Moving["secret"];
  readonly warnings: string[];
  readonly fromFiles: boolean;
}

async function fromFiles(files: readonly string[], { configMap }: ReadFlags): Promise<Read> {
  const { objects, skipped } = await readFiles(files);
  const of = <T extends KubeObject>({ kind }: Resource<T>): T[] =>
    objects.filter((object): object is T => object.kind === kind);
  const services = new Map(of(resources.Service).map((each) => [keyOf(each), each]));
  const secrets = new Map(of(resources.Secret).map((each) => [keyOf(each), each]));
  const maps = of(resources.ConfigMap);
  const wanted = configMap ?? "";
  const found = maps.find((each) => keyOf(each) === wanted);
  if (configMap !== undefined && !found)
    throw new CliError("BAD_FILE", `no file has ConfigMap ${configMap}`, "check --config-map");
  return {
    ingresses: of(resources.Ingress),
    classes: of(resources.IngressClass),
    options: found?.data ?? {},
    service: (key) => services.get(key),
    // Files seldom have Secrets: what they guard is judged all the same.
    secret: (key) => secrets.get(key) ?? assumedSecret(key),
    warnings: skipped,
    fromFiles: true,
  };
}

function assumedSecret(key: string): Secret {
  const data = { "tls.crt": "eA==", "tls.key": "eA==", "ca.crt": "eA==", auth: "" };
  return { apiVersion: "v1", kind: "Secret", metadata: { ...nameOfKey(key) }, data };
}

async function fromCluster(flags: ReadFlags): Promise<Read> {
  const { client } = await findSource({
    ...(flags.kubeconfig === undefined ? {} : { kubeconfig: flags.kubeconfig }),
    ...(flags.context === undefined ? {} : { context: flags.context }),
  });
  if (!client) throw new CliError("USAGE", "no cluster is named", "give -f or --kubeconfig");
  return asking(checkCluster, () => readAll(client, flags.configMap));
}

async function readAll(client: Client, configMap: string | undefined): Promise<Read> {
  const warnings: string[] = [];
  const [ingresses, classes, services] = await Promise.all([
    client.list(resources.Ingress),
    client.list(resources.IngressClass),
    client.list(resources.Service),
  ]);
  const names = new Set(ingresses.items.flatMap(secretsOf));
  const secrets = new Map<string, Secret>();
  for (const key of names) {
    const found = await optional(client.get(resources.Secret, nameOfKey(key)), () =>
      warnings.push(`Secret ${key} may not be read: it is taken to be right`),
    );
    if (found === "forbidden") secrets.set(key, assumedSecret(key));
    else if (found) secrets.set(key, found);
  }
  let options: ConfigMap["data"] = {};
  if (configMap !== undefined) {
    const found = await optional(client.get(resources.ConfigMap, nameOfKey(configMap)), () => {});
    if (!found || found === "forbidden")
      throw new CliError("BAD_FILE", `there is no ConfigMap ${configMap} that may be read`, "check --config-map");
    options = found.data;
  }
  const byKey = new Map(services.items.map((each) => [keyOf(each), each]));
  return {
    ingresses: ingresses.items,
    classes: classes.items,
    options: options ?? {},
    service: (key) => byKey.get(key),
    secret: (key) => secrets.get(key),
    warnings,
    fromFiles: false,
  };
}

async function optional<T>(asked: Promise<T>, onForbidden: () => void): Promise<T | "forbidden" | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (isStatus(error, "Forbidden")) {
      onForbidden();
      return "forbidden";
    }
    if (isStatus(error, "NotFound")) return undefined;
    throw error;
  }
}

/** Secrets that an Ingress names, by key. */
function secretsOf({ metadata, spec }: Ingress): string[] {
  const namespace = metadata.namespace ?? "";
  const annotations = ["auth-secret", "auth-tls-secret", "proxy-ssl-secret"].flatMap(
    (name) => metadata.annotations?.[`nginx.ingress.kubernetes.io/${name}`] ?? [],
  );
  const names = [...(spec.tls ?? []).flatMap(({ secretName }) => secretName ?? []), ...annotations];
  return names.filter(Boolean).map((name) => (name.includes("/") ? name : `${namespace}/${name}`));
}

function select(read: Read, named: readonly string[]): Moving {
  const assumed = new Set<string>();
  const known = new Map(read.classes.map((each) => [each.metadata.name, each.spec.controller ?? ""]));
  const others: { object: string; why: string }[] = [];
  const ingresses = read.ingresses.filter((ingress) => {
    const name = ingress.spec.ingressClassName ?? ingress.metadata.annotations?.[legacy];
    const object = `Ingress ${keyOf(ingress)}`;
    if (name === undefined) {
      // With files the default class is seldom among them.
      if (named.length === 0 && (read.fromFiles || isDefaultOurs(read.classes))) return true;
      others.push({ object, why: "it names no class, and ingress-nginx's is not the default" });
      return false;
    }
    if (named.length > 0 ? named.includes(name) : controllers.has(known.get(name) ?? "")) return true;
    // The deprecated annotation needs no IngressClass; files seldom have one.
    if (named.length === 0 && !known.has(name) && name === "nginx") {
      assumed.add(name);
      return true;
    }
    others.push({ object, why: `its class ${name} is not ingress-nginx's` });
    return false;
  });
  for (const name of assumed)
    read.warnings.push(`class ${name} is taken to be ingress-nginx's: no IngressClass says so`);
  return { ...read, ingresses, others };
}

function isDefaultOurs(classes: readonly IngressClass[]): boolean {
  return classes.some(
    ({ metadata, spec }) =>
      metadata.annotations?.["ingressclass.kubernetes.io/is-default-class"] === "true" &&
      controllers.has(spec.controller ?? ""),
  );
}

/** Never any: endpoints do not matter for where requests are led. */
export const noSlices: readonly EndpointSlice[] = [];
