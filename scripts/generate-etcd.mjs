// Writes src/store/etcd/generated/messages.ts: the messages of etcd's API that the store sends and receives, as tables for the
// codec and as types.
// Usage: node scripts/generate-etcd.mjs DESCRIPTOR, where DESCRIPTOR is etcd's rpc.proto as protobufjs writes it in JSON.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./prepare.mjs";

/** What is called; everything that these messages refer to is written too. */
const calls = [
  ["KV", "Range"],
  ["KV", "Put"],
  ["KV", "Txn"],
  ["KV", "Compact"],
  ["Watch", "Watch"],
  ["Lease", "LeaseGrant"],
  ["Lease", "LeaseRevoke"],
  ["Maintenance", "Status"],
  ["Auth", "Authenticate"],
];

const [descriptor] = process.argv.slice(2);
if (!descriptor) {
  console.error("usage: node scripts/generate-etcd.mjs DESCRIPTOR");
  process.exit(2);
}
const packages = JSON.parse(readFileSync(descriptor, "utf8")).nested;
const api = packages.etcdserverpb.nested;

/** The message or enum that a type name means inside `scope`. */
function lookUp(type, scope) {
  const local = api[scope]?.nested?.[type];
  if (local) return local;
  const [first, ...rest] = type.split(".");
  if (rest.length > 0) return packages[first].nested[rest.join(".")] ?? packages[first].nested[rest[0]].nested[rest[1]];
  return api[type] ?? packages.mvccpb.nested[type] ?? packages.mvccpb.nested[scope]?.nested?.[type];
}

const scalars = new Set(["bytes", "string", "int64", "uint64", "bool"]);
const inTypeScript = { bytes: "Uint8Array", string: "string", int64: "number", uint64: "bigint", bool: "boolean" };

const messages = new Map();
function add(name) {
  const short = name.split(".").at(-1);
  if (messages.has(short)) return short;
  const message = lookUp(name, "");
  const fields = [];
  messages.set(short, fields);
  for (const [field, { type, id, rule }] of Object.entries(message.fields)) {
    let kind = type;
    if (!scalars.has(type)) {
      const found = lookUp(type, short);
      if (!found) throw new Error(`${short}.${field}: the type ${type} is not known`);
      kind = found.values ? "enum" : add(type);
    }
    fields.push({ name: field, id, kind, repeated: rule === "repeated" });
  }
  return short;
}

const services = calls.map(([service, method]) => {
  const { requestType, responseType } = api[service].methods[method];
  return `  ${method}: { path: "/etcdserverpb.${service}/${method}", request: "${add(requestType)}", response: "${add(responseType)}" },`;
});

const lines = ["// Written by scripts/generate-etcd.mjs: not to be edited.", ""];
for (const [name, fields] of messages) {
  lines.push(`export interface ${name} {`);
  for (const { name: field, kind, repeated } of fields) {
    const type = kind === "enum" ? "number" : (inTypeScript[kind] ?? kind);
    lines.push(`  ${field}?: ${repeated ? `readonly ${type}[]` : type};`);
  }
  lines.push("}", "");
}
lines.push("export interface Messages {");
for (const name of messages.keys()) lines.push(`  ${name}: ${name};`);
lines.push("}", "");
lines.push("/** Of each field: name, number, type, and whether it is repeated. */");
lines.push(
  "export const fields: { readonly [name in keyof Messages]: readonly (readonly [string, number, string, boolean?])[] } = {",
);
for (const [name, all] of messages) {
  const rows = all.map((f) => `["${f.name}", ${f.id}, "${f.kind}"${f.repeated ? ", true" : ""}]`);
  lines.push(`  ${name}: [${rows.join(", ")}],`);
}
lines.push("};", "");
lines.push("/** What can be called: path, and names of the messages. */");
lines.push("export const calls = {", ...services, "} as const;", "");
const file = join(root, "src/store/etcd/generated/messages.ts");
writeFileSync(file, lines.join("\n"));
console.log(`${file}: ${messages.size} messages`);
