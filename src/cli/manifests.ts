import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { text as readAll } from "node:stream/consumers";
import { apiVersionOf, resources, yamlOptions, type KubeObject, type Resource } from "../kube/index.ts";
import { gatewayGroup, gatewayResources } from "../routing/index.ts";
import type { Client } from "../client/index.ts";
import { CliError, systemCodeOf } from "./errors.ts";

/** One object of a manifest and where it stands. */
export interface ManifestObject {
  /** `FILE`, or `FILE (document N)`. */
  readonly source: string;
  readonly resource: Resource;
  readonly object: KubeObject;
}

const byKind = new Map<string, Resource>(
  Object.values(resources).map((resource: Resource) => [`${apiVersionOf(resource)}/${resource.kind}`, resource]),
);

const ofGatewayApi = new Map<string, Resource>(
  Object.values(gatewayResources).map((resource: Resource) => [resource.kind, resource]),
);

/** The kind of an object; of the Gateway API in the version that the object has. */
function resourceOf(apiVersion = "", kind = ""): Resource | undefined {
  const [group, version] = apiVersion.split("/");
  const resource = group === gatewayGroup ? ofGatewayApi.get(kind) : undefined;
  return resource && version ? { ...resource, version } : byKind.get(`${apiVersion}/${kind}`);
}

/** Told of an object whose kind is not known; absent: that is an error. */
export type OnUnknownKind = (source: string, kind: string) => void;

/**
 * Reads files and folders (their *.yaml, *.yml and *.json, in order of name); `-` is standard input. Throws CliError BAD_FILE naming
 * the file.
 */
export async function readManifests(paths: readonly string[], onUnknown?: OnUnknownKind): Promise<ManifestObject[]> {
  const objects: ManifestObject[] = [];
  for (const path of paths) {
    for (const file of await filesOf(path)) objects.push(...(await readManifest(file, onUnknown)));
  }
  return objects;
}

async function filesOf(path: string): Promise<string[]> {
  if (path === "-") return [path];
  try {
    if (!(await stat(path)).isDirectory()) return [path];
    const names = (await readdir(path)).filter((name) => /\.(ya?ml|json)$/.test(name)).sort();
    return names.map((name) => join(path, name));
  } catch (error) {
    const why = systemCodeOf(error) === "ENOENT" ? "does not exist" : `cannot be read: ${String(error)}`;
    throw new CliError("BAD_FILE", `${JSON.stringify(path)} ${why}`, "check -f", { cause: error });
  }
}

async function readManifest(file: string, onUnknown: OnUnknownKind | undefined): Promise<ManifestObject[]> {
  const { parseAllDocuments } = await import("yaml");
  const text = file === "-" ? await readAll(process.stdin) : await readFile(file, "utf8");
  const documents = parseAllDocuments(text, yamlOptions);
  const objects: ManifestObject[] = [];
  for (const [i, document] of [...documents].entries()) {
    const source = documents.length > 1 ? `${file} (document ${i + 1})` : file;
    if (document.errors[0]) throw new CliError("BAD_FILE", `${source}: ${document.errors[0].message}`);
    const value: unknown = document.toJS();
    if (value !== null && value !== undefined) objects.push(...objectsOf(value, source, onUnknown));
  }
  return objects;
}

function objectsOf(value: unknown, source: string, onUnknown: OnUnknownKind | undefined): ManifestObject[] {
  if (typeof value !== "object" || value === null) throw new CliError("BAD_FILE", `${source}: that is no object`);
  const { apiVersion, kind, metadata, items } = value as Partial<KubeObject> & { items?: unknown };
  if (kind === "List" && Array.isArray(items)) return items.flatMap((item) => objectsOf(item, source, onUnknown));
  const resource = resourceOf(apiVersion, kind);
  if (!resource && onUnknown && typeof kind === "string") {
    onUnknown(source, kind);
    return [];
  }
  if (!resource) {
    throw new CliError(
      "BAD_FILE",
      `${source}: there is no kind ${JSON.stringify(kind ?? "")} in ${JSON.stringify(apiVersion ?? "")}`,
      "`kubectl api-resources` lists what there is",
    );
  }
  if (!metadata?.name) throw new CliError("BAD_FILE", `${source}: the ${resource.kind} has no metadata.name`);
  return [{ source, resource, object: value as KubeObject }];
}

/** Applies objects in their order. Objects without a namespace go to `default`. Throws CliError REFUSED naming the object. */
export async function applyManifests(client: Client, objects: readonly ManifestObject[]): Promise<void> {
  for (const { source, resource, object } of objects) {
    const metadata = resource.namespaced ? { namespace: "default", ...object.metadata } : object.metadata;
    try {
      await client.apply(resource, { ...object, metadata }, { fieldManager: "fairlead" });
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      throw new CliError("REFUSED", `${source}: ${message}`, undefined, { cause: error });
    }
  }
}
