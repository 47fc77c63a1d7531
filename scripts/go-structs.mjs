// Reads which fields of Kubernetes' Go types are pointers, and which are left out when they are empty. The OpenAPI document says neither.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Packages with the types of the API: folder under the module cache's `k8s.io`, prefix of the OpenAPI names. */
const packages = [
  [/^api@/, (path) => /^([^/]+)\/(v[^/]+)$/.exec(path) && `io.k8s.api.${path.replace("/", ".")}`],
  [/^apimachinery@/, (path) => path === "pkg/apis/meta/v1" && "io.k8s.apimachinery.pkg.apis.meta.v1"],
  [
    /^apiextensions-apiserver@/,
    (path) => path === "pkg/apis/apiextensions/v1" && "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1",
  ],
  [
    /^kube-aggregator@/,
    (path) => path === "pkg/apis/apiregistration/v1" && "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1",
  ],
];

/**
 * Fields by OpenAPI name of their struct and by their name in JSON; `numbers` of a struct holds these names by protobuf number, "" for an
 * embedded struct. `root` is the folder `k8s.io` of a Go module cache; of each
 * module the newest version there is read.
 */
export function readGoStructs(root) {
  const structs = new Map();
  for (const [module, nameOf] of packages) {
    const version = readdirSync(root)
      .filter((name) => module.test(name))
      .sort((a, b) => a.localeCompare(b, undefined, { numeric: true }))
      .at(-1);
    if (!version) throw new Error(`no module ${String(module)} in ${root}`);
    for (const path of folders(join(root, version), "")) {
      const prefix = nameOf(path);
      if (prefix) readPackage(join(root, version, path), prefix, structs);
    }
  }
  for (const [name, fields] of structs) flatten(structs, name, fields);
  return structs;
}

/** Fields of embedded structs are fields of the struct around them. */
function flatten(structs, name, fields) {
  const { embedded = [] } = fields;
  fields.embedded = [];
  for (const type of embedded) {
    const owner = `${name.slice(0, name.lastIndexOf(".") + 1)}${type}`;
    const inner = structs.get(owner);
    if (!inner) continue;
    flatten(structs, owner, inner);
    for (const [field, rule] of inner) if (!fields.has(field)) fields.set(field, rule);
  }
}

function* folders(root, path) {
  for (const entry of readdirSync(join(root, path), { withFileTypes: true })) {
    if (!entry.isDirectory()) continue;
    const inner = path ? `${path}/${entry.name}` : entry.name;
    yield inner;
    yield* folders(root, inner);
  }
}

function readPackage(folder, prefix, structs) {
  for (const file of readdirSync(folder).filter((name) => /^types.*\.go$/.test(name))) {
    let fields;
    for (const line of readFileSync(join(folder, file), "utf8").split("\n")) {
      const start = /^(?:type )?\s*(\w+) struct \{$/.exec(line);
      if (start) {
        fields = Object.assign(new Map(), { numbers: new Map() });
        structs.set(`${prefix}.${start[1]}`, fields);
        continue;
      }
      const field = /^\s+(?:(\w+)\s+)?([*\w.[\]]+)\s+`[^`]*json:"([\w$-]*)((?:,\w+)*)"(?:.* protobuf:"\w+,(\d+))?/.exec(
        line,
      );
      if (!field || !fields) continue;
      const [, , type, name, options, number] = field;
      if (name === "-") continue;
      if (number) fields.numbers.set(Number(number), name);
      if (name === "") {
        (fields.embedded ??= []).push(type.replace(/^\*/, ""));
        continue;
      }
      const flags = options.split(",");
      fields.set(name, {
        pointer: type.startsWith("*"),
        omitEmpty: flags.includes("omitempty"),
        omitZero: flags.includes("omitzero"),
      });
    }
  }
}
