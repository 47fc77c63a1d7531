import { statusError, StatusError } from "../status.ts";
import { cloneJson, isObject, jsonEqual, setOwn } from "../values/equal.ts";

/** More operations than this are refused, as by Kubernetes. */
const maxOperations = 10_000;

interface Operation {
  readonly op: string;
  readonly path: string;
  readonly from: string;
  readonly value: unknown;
  readonly hasValue: boolean;
}

/** What copies may add to an object, in characters of JSON: without a bound a short patch could double it again and again. */
const maxCopied = 3 * 1024 * 1024;

/** The document that a patch is applied to. */
interface Root {
  document: unknown;
  copied: number;
}

/** An operation does not apply. */
class PatchFault extends Error {}

/**
 * Applies a JSON patch (RFC 6902). The target is not changed.
 * Throws 400 BadRequest for what is no patch, 413 for too many operations, and 422 Invalid, with the fault as the cause,
 * for an operation that does not apply.
 */
export function applyJsonPatch(target: unknown, patch: unknown): unknown {
  const operations = readOperations(patch);
  if (operations.length > maxOperations) {
    throw statusError(
      "RequestEntityTooLarge",
      `The allowed maximum operations in a JSON patch is ${maxOperations}, got ${operations.length}`,
    );
  }
  const root = { document: cloneJson(target), copied: 0 };
  try {
    for (const operation of operations) apply(root, operation);
  } catch (error) {
    if (error instanceof PatchFault) throw rejected(error.message);
    throw error;
  }
  return root.document;
}

/** 422 for a patch that is well formed but does not apply: upstream does not tell the client why. */
export function rejected(why: string): StatusError {
  const status = {
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message: "the server rejected our request due to an error in our request",
    reason: "Invalid",
    details: {},
    code: 422,
  };
  return new StatusError(status, { cause: new Error(why) });
}

function readOperations(patch: unknown): Operation[] {
  if (!Array.isArray(patch)) {
    const type = isObject(patch) ? "object" : typeof patch;
    throw statusError("BadRequest", `json: cannot unmarshal ${type} into Go value of type jsonpatch.Patch`);
  }
  return patch.map((item: unknown) => {
    if (!isObject(item)) {
      throw statusError("BadRequest", "json: cannot unmarshal value into Go value of type jsonpatch.Operation");
    }
    const text = (key: string) => (typeof item[key] === "string" ? item[key] : undefined);
    return {
      op: text("op") ?? "unknown",
      path: text("path") ?? missing("operation missing path field"),
      from: text("from") ?? "",
      value: item["value"],
      hasValue: "value" in item,
    };
  });
}

function missing(text: string): never {
  throw rejected(`${text}: missing value`);
}

function apply(root: Root, { op, path, from, value, hasValue }: Operation): void {
  switch (op) {
    case "add":
      return add(root, path, cloneJson(value), "add");
    case "remove":
      return remove(root, path, "remove");
    case "replace":
      if (path === "") {
        root.document = cloneJson(value);
        return;
      }
      if (!isPresent(root, path)) throw new PatchFault(replaceFault(root, path));
      return put(parentOf(root, path, "replace"), cloneJson(value));
    case "move": {
      const moved = read(root, from, "move");
      remove(root, from, "move");
      return add(root, path, moved, "move");
    }
    case "copy":
      return add(root, path, copy(root, read(root, from, "copy")), "copy");
    case "test": {
      const actual = path === "" ? root.document : read(root, path, "test");
      // A test for null is met by what is not there.
      if (!jsonEqual(actual ?? null, hasValue ? value : null))
        throw new PatchFault(`testing value ${path} failed: test failed`);
      return;
    }
    default:
      throw new PatchFault(`Unexpected kind: ${op}`);
  }
}

interface Slot {
  readonly holder: unknown[] | Record<string, unknown>;
  readonly key: string;
}

const unescape = (token: string) => token.replaceAll("~1", "/").replaceAll("~0", "~");

/** The list or map that holds the last part of a path; undefined when the way there does not exist. */
function find(root: Root, path: string): Slot | undefined {
  if (!path.startsWith("/")) return undefined;
  const tokens = path.slice(1).split("/").map(unescape);
  const key = tokens.pop() ?? "";
  let holder = root.document;
  for (const token of tokens) holder = child(holder, token);
  return Array.isArray(holder) || isObject(holder) ? { holder, key } : undefined;
}

function child(holder: unknown, token: string): unknown {
  if (Array.isArray(holder)) return /^(0|[1-9]\d*)$/.test(token) ? (holder[Number(token)] as unknown) : undefined;
  return isObject(holder) && Object.hasOwn(holder, token) ? holder[token] : undefined;
}

/** How each operation says that the way to a value does not exist. */
const missingTexts: Record<string, (path: string) => string> = {
  add: (path) => `doc is missing path: "${path}"`,
  remove: (path) => `doc is missing path: "${path}"`,
  replace: (path) => `doc is missing path: ${path}`,
  test: (path) => `is missing path: ${path}`,
};

function parentOf(root: Root, path: string, op: string, end: "from" | "destination" = "from"): Slot {
  const slot = find(root, path);
  if (slot) return slot;
  const shown = missingTexts[op]?.(path) ?? `doc is missing ${end} path: ${path}`;
  throw new PatchFault(`${op} operation does not apply: ${shown}: missing value`);
}

function copy(root: Root, value: unknown): unknown {
  root.copied += (JSON.stringify(value) ?? "").length;
  if (root.copied > maxCopied) {
    const text = `the accumulated size increase of copy is ${root.copied}, exceeding the limit ${maxCopied}`;
    throw new PatchFault(`Unable to complete the copy, ${text}`);
  }
  return cloneJson(value);
}

function isPresent(root: Root, path: string): boolean {
  const slot = find(root, path);
  if (!slot) return false;
  if (Array.isArray(slot.holder)) return indexOf(slot, slot.holder.length - 1) !== undefined;
  return Object.hasOwn(slot.holder, slot.key);
}

function replaceFault(root: Root, path: string): string {
  const which = find(root, path) ? "key" : "path";
  return `replace operation does not apply: doc is missing ${which}: ${path}: missing value`;
}

/** The index that a token names, when it is one from 0 to `last`. */
function indexOf({ key }: Slot, last: number): number | undefined {
  const index = /^(0|[1-9]\d*)$/.test(key) ? Number(key) : -1;
  return index >= 0 && index <= last ? index : undefined;
}

function read(root: Root, path: string, op: string): unknown {
  if (path === "") return root.document;
  const slot = parentOf(root, path, op);
  const { holder, key } = slot;
  if (Array.isArray(holder) && indexOf(slot, holder.length - 1) === undefined) {
    throw new PatchFault(`error in ${op} for ${op === "copy" ? "from" : "path"}: '${path}': ${indexFault(key)}`);
  }
  return child(holder, key);
}

function put({ holder, key }: Slot, value: unknown): void {
  if (Array.isArray(holder)) holder[Number(key)] = value;
  else setOwn(holder, key, value);
}

function add(root: Root, path: string, value: unknown, op: string): void {
  if (path === "") {
    root.document = value;
    return;
  }
  const slot = parentOf(root, path, op, "destination");
  const { holder, key } = slot;
  if (!Array.isArray(holder)) return put(slot, value);
  const index = key === "-" ? holder.length : indexOf(slot, holder.length);
  if (index === undefined) throw new PatchFault(`error in ${op} for path: '${path}': ${indexFault(key)}`);
  holder.splice(index, 0, value);
}

function remove(root: Root, path: string, op: string): void {
  const slot = parentOf(root, path, op);
  const { holder, key } = slot;
  const error = (text: string) => new PatchFault(`error in ${op} for path: '${path}': ${text}`);
  if (Array.isArray(holder)) {
    const index = indexOf(slot, holder.length - 1);
    if (index === undefined) throw error(indexFault(key));
    holder.splice(index, 1);
  } else {
    if (!Object.hasOwn(holder, key)) throw error(`Unable to remove nonexistent key: ${key}: missing value`);
    delete holder[key];
  }
}

const indexFault = (key: string) =>
  /^-?\d+$/.test(key)
    ? `Unable to access invalid index: ${key}: invalid index referenced`
    : `value was not a proper array index: '${key}': strconv.Atoi: parsing ${JSON.stringify(key)}: invalid syntax`;
