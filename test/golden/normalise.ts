import type { Answer } from "./exchange.ts";

/** Replaces what differs from run to run by names that are the same in every run. One for a family: it remembers what it named. */
export interface Normaliser {
  readonly normalise: (answer: Answer, options: { managedFields: boolean }) => Answer;
}

const compared = ["content-type", "warning", "retry-after", "www-authenticate", "allow"];
const uuid = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;
const times =
  /^(creationTimestamp|deletionTimestamp|time|lastTransitionTime|lastUpdateTime|lastProbeTime|expirationTimestamp)$/;
/** What requests say is in 2030. */
const now = /^202\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;
const age = /^(<unknown>|<invalid>|(\d+[dhms])+)$/;

/** Cluster addresses that requests ask for. */
const asked: ReadonlySet<string> = new Set(["10.96.200.200", "10.96.99.99"]);

const credential = "authentication.kubernetes.io/credential-id";

type Json = Readonly<Record<string, unknown>>;
const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

export function createNormaliser(): Normaliser {
  const names = new Map<string, string>();
  const versions = new Map<string, string>();
  const counts = new Map<string, number>();

  /** The first uid of `a` is `uid a.1`. */
  function nameOf(sort: string, value: string, owner: string): string {
    const key = `${sort} ${value}`;
    const known = names.get(key);
    if (known) return known;
    const count = (counts.get(`${sort} ${owner}`) ?? 0) + 1;
    counts.set(`${sort} ${owner}`, count);
    const name = `${sort} ${owner}.${count}`;
    names.set(key, name);
    return name;
  }

  /** Against the version of the object that was seen last. */
  function versionOf(version: string, of: string): string {
    const before = versions.get(of);
    versions.set(of, version);
    return before === version ? "as before" : "new";
  }

  const inText = (text: string): string =>
    text
      .replace(uuid, (id) => names.get(`uid ${id}`) ?? "a uid")
      .replace(/([a-z0-9.-]+-generated-)[a-z0-9]{5}\b/g, "$1*")
      .replace(/\bkube-api-access-[a-z0-9]{5}\b/g, "kube-api-access-*")
      .replace(/\b10\.96\.\d+\.\d+\b/g, (address) => (asked.has(address) ? address : "an address"))
      // What follows shows Go's own structs.
      .replace(/(immutable after creation[^\n"]*|may not change fields other than [^\n]*)\n[^]*$/, "$1")
      .replace(
        /(esource version: )\d+( \(\d+\))?/g,
        (_, start: string, more?: string) => `${start}*${more ? " (*)" : ""}`,
      )
      .replace(/, current: \d+/g, ", current: *")
      .replace(/(ResourceVersion in (?:the precondition|record) )\(\d+\)/g, "$1(*)")
      // Where etcd keeps it is nobody's business.
      .replace(/StorageError: invalid object, Code: 4, .*AdditionalErrorMsg: /g, "")
      // A whole object as a patch left it.
      .replace(/patch: Invalid value: "\{.*\}": /g, 'patch: Invalid value: "{*}": ')
      .replace(/^Invalid value: "\{\\".*\\"metadata\\".*\}": /g, 'Invalid value: "{*}": ');

  function metadata(meta: Json, managedFields: boolean): Json {
    const owner = inText(typeof meta.name === "string" ? meta.name : "unnamed");
    const { uid, resourceVersion, managedFields: fields, continue: _, ...rest } = meta;
    const isList = uid === undefined && meta.name === undefined;
    return {
      ...(walk(rest, managedFields) as Json),
      ...(typeof uid === "string" ? { uid: nameOf("uid", uid, owner) } : {}),
      ...(typeof resourceVersion === "string" && resourceVersion !== ""
        ? { resourceVersion: isList ? "*" : versionOf(resourceVersion, typeof uid === "string" ? uid : owner) }
        : {}),
      ...(meta.continue ? { continue: "*" } : {}),
      ...(fields !== undefined && managedFields ? { managedFields: walk(fields, managedFields) } : {}),
    };
  }

  function table(value: Json): Json {
    const definitions = Array.isArray(value.columnDefinitions) ? (value.columnDefinitions as Json[]) : [];
    const aged = definitions.map(({ name }) => name === "Age" || name === "Created At" || name === "First Seen");
    return {
      ...value,
      // Descriptions are prose: each server's own.
      columnDefinitions: definitions.map((column) => ({ ...column, description: undefined })),
      rows: (Array.isArray(value.rows) ? (value.rows as Json[]) : []).map((row) => ({
        ...row,
        cells: (row.cells as unknown[]).map((cell, i) => (aged[i] && age.test(String(cell)) ? "*" : walk(cell, false))),
      })),
    };
  }

  /** What is in a list of a built-in kind needs not say again of what kind it is: both are right. */
  function list(value: Json): Json {
    const items = (value.items as unknown[]).map((item) => {
      if (!isObject(item)) return item;
      const { apiVersion, kind, ...rest } = item;
      return apiVersion === value.apiVersion && `${String(kind)}List` === value.kind ? rest : item;
    });
    return { ...value, items };
  }

  function walk(value: unknown, managedFields: boolean): unknown {
    if (typeof value === "string") return now.test(value) ? "*" : inText(value);
    if (Array.isArray(value)) return value.map((item) => walk(item, managedFields));
    if (!isObject(value)) return value;
    const source =
      value.kind === "Table"
        ? table(value)
        : Array.isArray(value.items) && typeof value.kind === "string"
          ? list(value)
          : value;
    return Object.fromEntries(
      Object.entries(source).flatMap(([key, item]) => {
        // Which certificate or token it was.
        if (key === "extra" && isObject(item) && credential in item) return [];
        if (key === "metadata" && isObject(item)) return [[key, metadata(item, managedFields)]];
        if (times.test(key) && typeof item === "string") return [[key, "*"]];
        // Go writes an empty list as nothing, as null or as a list, as it came about.
        if (item === null || (Array.isArray(item) && item.length === 0)) return [];
        if (key === "token" && typeof item === "string" && item.length > 40) return [[key, "*"]];
        if ((key === "nodePort" || key === "healthCheckNodePort") && typeof item === "number")
          return [[key, nameOf("port", String(item), "node")]];
        return [[key, walk(item, managedFields)]];
      }),
    );
  }

  return {
    normalise({ status, headers = {}, body }, { managedFields }) {
      const kept = Object.entries(headers).filter(
        ([name, value]) => compared.includes(name) && !(name === "content-type" && value === "application/json"),
      );
      return {
        status,
        ...(kept.length > 0 ? { headers: Object.fromEntries(kept) } : {}),
        ...(body === undefined || body === "" ? {} : { body: walk(body, managedFields) }),
      };
    },
  };
}
