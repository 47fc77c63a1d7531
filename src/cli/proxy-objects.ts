import { createHash } from "node:crypto";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import {
  decode,
  describeFault,
  isHeadless,
  keyOf,
  needsClusterIp,
  resources,
  StatusError,
  strategyFor,
  yamlOptions,
  type EndpointSlice,
  type FieldError,
  type KubeObject,
  type Resource,
  type Service,
} from "../kube/index.ts";
import { CliError, systemCodeOf } from "./errors.ts";

/** The objects of one file. */
export interface FileObjects {
  readonly services: readonly Service[];
  readonly slices: readonly EndpointSlice[];
}

/** Bytes of one file; more is surely a mistake. */
const largestFile = 64 << 20;

/** The files that these paths name: folders stand for their *.yaml, *.yml and *.json, in order of name. Throws CliError BAD_FILE. */
export async function objectFiles(paths: readonly string[]): Promise<string[]> {
  const files: string[] = [];
  for (const path of paths) {
    try {
      if (!(await stat(path)).isDirectory()) files.push(path);
      else {
        const names = (await readdir(path)).filter((name) => /^[^.].*\.(ya?ml|json)$/.test(name)).sort();
        files.push(...names.map((name) => join(path, name)));
      }
    } catch (error) {
      const why = systemCodeOf(error) === "ENOENT" ? "does not exist" : `cannot be read: ${String(error)}`;
      throw new CliError("BAD_FILE", `${JSON.stringify(path)} ${why}`, "check --file", { cause: error });
    }
  }
  return files;
}

/**
 * The Services and EndpointSlices of one file, with the defaults that an API server fills in, checked as one checks them.
 * Throws CliError BAD_FILE naming file, document and field.
 */
export async function readObjectFile(file: string): Promise<FileObjects> {
  const { size } = await stat(file);
  if (size > largestFile)
    throw new CliError("BAD_FILE", `${file} has ${size} bytes`, `split it: ${largestFile} is the most`);
  return parseObjects(file, await readFile(file, "utf8"));
}

/** As `readObjectFile`, of a text. */
export async function parseObjects(file: string, text: string): Promise<FileObjects> {
  const { parseAllDocuments } = await import("yaml");
  const documents = [...parseAllDocuments(text, { ...yamlOptions, prettyErrors: true })];
  const services: Service[] = [];
  const slices: EndpointSlice[] = [];
  const seen = new Map<string, string>();
  for (const [i, document] of documents.entries()) {
    const source = documents.length > 1 ? `${file}, document ${i + 1}` : file;
    const [fault] = document.errors;
    if (fault)
      throw new CliError("BAD_FILE", `${source}: ${fault.message.split("\n")[0]?.replace(/:$/, "")}`, "mend the YAML");
    const value: unknown = document.toJS({ maxAliasCount: 100 });
    for (const { where, item } of itemsOf(source, value)) {
      const object = readObject(where, item);
      const id = `${object.kind} ${keyOf(object)}`;
      const earlier = seen.get(id);
      if (earlier !== undefined)
        throw new CliError("BAD_FILE", `${where}: ${id} is in ${earlier} already`, "leave one out");
      seen.set(id, where);
      if (object.kind === resources.Service.kind) services.push(object as Service);
      else slices.push(object as EndpointSlice);
    }
  }
  return { services, slices };
}

/** The objects of a document: itself, or the items of a List. */
function itemsOf(source: string, value: unknown): { where: string; item: unknown }[] {
  if (value === null || value === undefined) return [];
  const { kind, items } = value as { kind?: unknown; items?: unknown };
  if (typeof kind !== "string" || !kind.endsWith("List") || !Array.isArray(items))
    return [{ where: source, item: value }];
  return items.map((item: unknown, i) => ({ where: `${source}, items[${i}]`, item }));
}

const now = "1970-01-01T00:00:00Z";

function readObject(where: string, value: unknown): Service | EndpointSlice {
  const wrong = (what: string, remedy?: string) => new CliError("BAD_FILE", `${where}: ${what}`, remedy);
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw wrong("this is no Kubernetes object", "begin with apiVersion, kind and metadata");
  const { apiVersion, kind, metadata } = value as Partial<KubeObject>;
  const resource: Resource | undefined =
    kind === "Service" && apiVersion === "v1"
      ? resources.Service
      : kind === "EndpointSlice" && apiVersion === "discovery.k8s.io/v1"
        ? resources.EndpointSlice
        : undefined;
  if (!resource) {
    const found = `${kind ?? "an object without kind"} of ${JSON.stringify(apiVersion ?? "")}`;
    throw wrong(`${found} is of no use here`, "give Service (v1) and EndpointSlice (discovery.k8s.io/v1)");
  }
  const subject = `${kind} ${JSON.stringify(metadata?.name ?? "")}`;
  const said = (error: unknown) =>
    error instanceof StatusError
      ? error.message.replace(/^\w+ in version "[^"]*" cannot be handled as a \w+: /, "")
      : String(error);
  let object: KubeObject;
  try {
    object = decode<KubeObject>(resource, value, { fieldValidation: "Strict" }).object;
  } catch (error) {
    throw wrong(`${subject}: ${said(error)}`);
  }
  object.metadata.namespace ||= "default";
  const strategy = strategyFor(resource);
  const context = { now, allowLoopback: true, serviceFamilies: ["IPv4", "IPv6"] as const };
  const { status } = object as Service;
  if (resource === resources.Service) giveAddress(object as Service);
  strategy.prepareForCreate(object, context);
  const faults = [...strategy.validateCreate(object, context), ...unallocated(object)];
  if (resource === resources.Service && status?.loadBalancer) {
    const before = structuredClone(object);
    (object as Service).status = status;
    strategy.defaults(object);
    faults.push(...strategy.validateUpdate(object, before, { ...context, subresource: "status" }));
  }
  const [fault] = faults;
  if (fault) throw wrong(`${subject}: ${describeFault(fault)}`);
  object.metadata.uid = keyOf(object);
  object.metadata.resourceVersion = createHash("sha1").update(JSON.stringify(value)).digest("hex");
  return object as Service | EndpointSlice;
}

/** What an API server would have given the Service, and nobody does here. */
function unallocated(object: KubeObject): FieldError[] {
  const { spec } = object as Service;
  if (object.kind !== "Service" || spec.type !== "NodePort") return [];
  const detail = "without a cluster nobody chooses one";
  return (spec.ports ?? []).flatMap(({ nodePort }, i) =>
    nodePort ? [] : [{ type: "Required" as const, field: `spec.ports[${i}].nodePort`, detail }],
  );
}

/** Loopback addresses for Services that name no cluster IP: there a Service answers on the machine itself. */
export const givenRange = "127.192.0.0/16";
const given = { first: "127.192.", size: 1 << 16 };

/** A Service that names no cluster IP gets one on loopback, from its name: it is the same at each start. */
function giveAddress(service: Service): void {
  const spec = (service.spec ??= {});
  if (!needsClusterIp(spec) || isHeadless(spec) || spec.clusterIP || spec.clusterIPs?.length) return;
  const hash = createHash("sha256").update(keyOf(service)).digest().readUInt32BE(0) % (given.size - 2);
  spec.clusterIP = `${given.first}${(hash + 1) >> 8}.${(hash + 1) & 255}`;
}
