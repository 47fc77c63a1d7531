import { since, type KubeObject, type LabelSelector, type PodSpec } from "../../kube/index.ts";

/** A column of a Table, as meta.k8s.io/v1 `TableColumnDefinition`. */
export interface Column {
  readonly name: string;
  readonly type: "string" | "integer" | "number" | "boolean" | "date";
  /** "name" for the name of the object; custom resources may have others. */
  readonly format: string;
  readonly description: string;
  /** 0: always shown; more: only with `-o wide`. */
  readonly priority: number;
}

export type Cell = string | number | boolean | null;

export interface RowCondition {
  readonly type: "Completed";
  readonly status: "True";
  readonly reason: string;
  readonly message: string;
}

/** How objects of one kind look in a table. `now` in milliseconds. */
export interface Printer<T extends KubeObject> {
  readonly columns: readonly Column[];
  cells(object: T, now: number): readonly Cell[];
  conditions?(object: T): readonly RowCondition[];
}

function column(name: string, description: string, more: Partial<Column> = {}): Column {
  return { name, type: "string", format: "", description, priority: 0, ...more };
}

export function text(name: string, description: string): Column {
  return column(name, description);
}

export function wide(name: string, description: string): Column {
  return column(name, description, { priority: 1 });
}

export function integer(name: string, description: string): Column {
  return column(name, description, { type: "integer" });
}

export function boolean(name: string, description: string): Column {
  return column(name, description, { type: "boolean" });
}

export function date(name: string, description: string): Column {
  return column(name, description, { type: "date" });
}

export const nameColumn = column("Name", "Name of the object, unique within its namespace and kind.", {
  format: "name",
});
export const ageColumn = text("Age", "Time since the object was created.");

export function ageOf(object: KubeObject, now: number): string {
  return since(object.metadata.creationTimestamp, now);
}

/** `a=1,b=2` in the order of the keys. */
export function formatLabels(labels: Readonly<Record<string, string>> | undefined): string {
  const pairs = Object.entries(labels ?? {}).map(([key, value]) => `${key}=${value}`);
  return pairs.length > 0 ? pairs.sort().join(",") : "<none>";
}

/** A label selector as kubectl's `-l` takes it; `none` when it selects everything or is missing. */
export function formatSelector(selector: LabelSelector | undefined, none = "<none>"): string {
  const labels = Object.entries(selector?.matchLabels ?? {}).map(([key, value]) => ({ key, text: `${key}=${value}` }));
  const expressions = (selector?.matchExpressions ?? []).map(({ key, operator, values = [] }) => {
    const set = `(${[...values].sort().join(",")})`;
    const forms: Record<string, string> = {
      In: `${key} in ${set}`,
      NotIn: `${key} notin ${set}`,
      Exists: key,
      DoesNotExist: `!${key}`,
    };
    return { key, text: forms[operator] ?? "<error>" };
  });
  const all = [...labels, ...expressions].sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  return all.map((requirement) => requirement.text).join(",") || none;
}

export const templateColumns = [
  wide("Containers", "Names of each container in the template."),
  wide("Images", "Images referenced by each container in the template."),
];

/** Names and images of a template's containers. */
export function templateCells(spec: PodSpec | undefined): [names: string, images: string] {
  const containers = spec?.containers ?? [];
  return [containers.map((one) => one.name).join(","), containers.map((one) => one.image ?? "").join(",")];
}

/** The first `limit` parts and how many more there are. */
export function firstFew(parts: readonly string[], limit: number, total = parts.length): string {
  const shown = parts.slice(0, limit).join(",");
  return total > limit ? `${shown} + ${total - limit} more...` : shown;
}
