import type { Client } from "../../client/index.ts";
import { type ControllerReading, readController, type StreamServices } from "../../routing/index.ts";
import {
  type ConfigMap,
  type DaemonSet,
  type Deployment,
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
  readonly tcpServicesConfigmap?: string;
  readonly udpServicesConfigmap?: string;
  readonly class?: readonly string[];
}

/** What is moved: the Ingresses of ingress-nginx, and what they name. */
export interface Moving {
  readonly ingresses: readonly Ingress[];
  readonly classes: readonly IngressClass[];
  readonly options: Readonly<Record<string, string>>;
  readonly service: (key: string) => Service | undefined;
  readonly secret: (key: string) => Secret | undefined;
  readonly configMap: (key: string) => ConfigMap | undefined;
  /** How its controllers are started, as far as they were found. */
  readonly controllers: readonly ControllerReading[];
  /** Its ConfigMaps of ports. */
  readonly streams: readonly StreamServices[];
  /** Ingresses that are not ingress-nginx's, and why. */
  readonly others: readonly { readonly object: string; readonly why: string }[];
  /** What could not be read or had to be assumed. */
  readonly warnings: readonly string[];
  /** Services and Secrets are assumed where the files do not have them. */
  readonly fromFiles: boolean;
}

const ourControllers = ["k8s.io/ingress-nginx", "fairlead.dev/ingress-nginx"];
const legacy = "kubernetes.io/ingress.class";

/** Reads the Ingresses of ingress-nginx from files, or from a cluster. Throws CliError. */
export async function readMoving(flags: ReadFlags): Promise<Moving> {
  const files = flags.filename ?? [];
  if (files.length > 0 && (flags.kubeconfig !== undefined || flags.context !== undefined))
    throw new CliError("USAGE", "-f and --kubeconfig name two places", "give one of them");
  const read = files.length > 0 ? await fromFiles(files) : await fromCluster(flags);
  return select(await completed(read, flags), flags.class ?? []);
}

/** What a place has, before anything was made of it. */
interface Found {
  readonly ingresses: readonly Ingress[];
  readonly classes: readonly IngressClass[];
  readonly workloads: readonly (Deployment | DaemonSet)[];
  readonly service: Moving["service"];
  readonly secret: Moving["secret"];
  /** `unknown`: it may not be read, or is not among the files. */
  readonly findMap: (key: string) => Promise<ConfigMap | "unknown" | undefined>;
  readonly warnings: string[];
  readonly fromFiles: boolean;
}

interface Read extends Pick<Found, "ingresses" | "classes" | "service" | "secret" | "fromFiles" | "warnings"> {
  readonly options: Readonly<Record<string, string>>;
  readonly configMap: Moving["configMap"];
  readonly controllers: readonly ControllerReading[];
  readonly streams: readonly StreamServices[];
}

/** Adds what flags, or else the controller itself, say about ConfigMaps, and those that annotations and options name. */
async function completed(found: Found, flags: ReadFlags): Promise<Read> {
  const { workloads, findMap, warnings, ...rest } = found;
  const controllers = workloads.flatMap((workload) => readController(workload) ?? []);
  const [only] = controllers.length === 1 ? controllers : [];
  if (controllers.length > 1 && flags.configMap === undefined)
    warnings.push(
      `there are ${controllers.length} controllers of ingress-nginx: name the ConfigMap of the one that is meant with --config-map, and its class with --class`,
    );
  /** A ConfigMap that was asked for must be there; one that the controller names is looked for. */
  async function mapOf(
    flag: string,
    asked: string | undefined,
    said: string | undefined,
  ): Promise<ConfigMap | undefined> {
    const key = asked ?? said;
    if (key === undefined) return undefined;
    const map = await findMap(key);
    if (map && map !== "unknown") return map;
    if (asked !== undefined)
      throw new CliError("BAD_FILE", `there is no ConfigMap ${key} that can be read`, `check ${flag}`);
    warnings.push(`ConfigMap ${key}, which the controller names, cannot be read: it is taken to say nothing`);
    return undefined;
  }
  const options = (await mapOf("--config-map", flags.configMap, only?.configMap))?.data ?? {};
  const tcp = await mapOf("--tcp-services-configmap", flags.tcpServicesConfigmap, only?.tcpServices);
  const udp = await mapOf("--udp-services-configmap", flags.udpServicesConfigmap, only?.udpServices);
  const maps = new Map<string, ConfigMap | undefined>();
  for (const key of new Set([
    ...rest.ingresses.flatMap(mapsOf),
    ...mapOptions.flatMap((name) => options[name] || []),
  ])) {
    const map = await findMap(key);
    maps.set(key, map === "unknown" ? assumedMap(key) : map);
    if (map === "unknown") warnings.push(`ConfigMap ${key} cannot be read: it is taken to be right`);
  }
  return {
    ...rest,
    warnings,
    options,
    controllers,
    configMap: (key) => maps.get(key),
    streams: [
      ...(tcp ? [{ transport: "TCP", configMap: tcp } as const] : []),
      ...(udp ? [{ transport: "UDP", configMap: udp } as const] : []),
    ],
  };
}

/** Options that name a ConfigMap. */
const mapOptions = ["add-headers", "proxy-set-headers"];

function assumedMap(key: string): ConfigMap {
  return { apiVersion: "v1", kind: "ConfigMap", metadata: { ...nameOfKey(key) } };
}

async function fromFiles(files: readonly string[]): Promise<Found> {
  const { objects, skipped } = await readFiles(files);
  const of = <T extends KubeObject>({ kind }: Resource<T>): T[] =>
    objects.filter((object): object is T => object.kind === kind);
  const services = new Map(of(resources.Service).map((each) => [keyOf(each), each]));
  const secrets = new Map(of(resources.Secret).map((each) => [keyOf(each), each]));
  const maps = new Map(of(resources.ConfigMap).map((each) => [keyOf(each), each]));
  return {
    ingresses: of(resources.Ingress),
    classes: of(resources.IngressClass),
    workloads: [...of(resources.Deployment), ...of(resources.DaemonSet)],
    findMap: (key) => Promise.resolve(maps.get(key) ?? "unknown"),
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

async function fromCluster(flags: ReadFlags): Promise<Found> {
  const { client } = await findSource({
    ...(flags.kubeconfig === undefined ? {} : { kubeconfig: flags.kubeconfig }),
    ...(flags.context === undefined ? {} : { context: flags.context }),
  });
  if (!client) throw new CliError("USAGE", "no cluster is named", "give -f or --kubeconfig");
  return asking(checkCluster, () => readAll(client));
}

async function readAll(client: Client): Promise<Found> {
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
  const [deployments, daemonSets] = await Promise.all(
    [resources.Deployment, resources.DaemonSet].map((resource) =>
      optional(client.list<Deployment | DaemonSet>(resource), () =>
        warnings.push(`${resource.plural} may not be read: how ingress-nginx is started is not known`),
      ),
    ),
  );
  const workloads = [deployments, daemonSets].flatMap((list) => (list && list !== "forbidden" ? list.items : []));
  const byKey = new Map(services.items.map((each) => [keyOf(each), each]));
  return {
    ingresses: ingresses.items,
    classes: classes.items,
    workloads,
    findMap: async (key) => {
      const map = await optional(client.get(resources.ConfigMap, nameOfKey(key)), () => {});
      return map === "forbidden" ? "unknown" : map;
    },
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

/** ConfigMaps that an Ingress names, by key. */
function mapsOf({ metadata }: Ingress): string[] {
  const names = ["custom-headers", "auth-proxy-set-headers"].flatMap(
    (name) => metadata.annotations?.[`nginx.ingress.kubernetes.io/${name}`] || [],
  );
  return names.map((name) => (name.includes("/") ? name : `${metadata.namespace ?? ""}/${name}`));
}

function select(read: Read, named: readonly string[]): Moving {
  const assumed = new Set<string>();
  const controllers = new Set([...ourControllers, ...read.controllers.map(({ controllerClass }) => controllerClass)]);
  const classNames = new Set(["nginx", ...read.controllers.map(({ className }) => className)]);
  const withoutClass = read.controllers.some((each) => each.withoutClass);
  const known = new Map(read.classes.map((each) => [each.metadata.name, each.spec.controller ?? ""]));
  const others: { object: string; why: string }[] = [];
  const ingresses = read.ingresses.filter((ingress) => {
    const name = ingress.spec.ingressClassName ?? ingress.metadata.annotations?.[legacy];
    const object = `Ingress ${keyOf(ingress)}`;
    if (name === undefined) {
      // With files the default class is seldom among them.
      if (named.length === 0 && (read.fromFiles || withoutClass || isDefaultOurs(read.classes, controllers)))
        return true;
      others.push({ object, why: "it names no class, and ingress-nginx's is not the default" });
      return false;
    }
    if (named.length > 0 ? named.includes(name) : controllers.has(known.get(name) ?? "")) return true;
    // The deprecated annotation needs no IngressClass; files seldom have one.
    if (named.length === 0 && !known.has(name) && classNames.has(name)) {
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

function isDefaultOurs(classes: readonly IngressClass[], controllers: ReadonlySet<string>): boolean {
  return classes.some(
    ({ metadata, spec }) =>
      metadata.annotations?.["ingressclass.kubernetes.io/is-default-class"] === "true" &&
      controllers.has(spec.controller ?? ""),
  );
}

/** Never any: endpoints do not matter for where requests are led. */
export const noSlices: readonly EndpointSlice[] = [];
