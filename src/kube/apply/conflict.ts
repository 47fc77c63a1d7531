import { StatusError } from "../status.ts";
import { pathsOf, setOf, type FieldSet } from "./field-set.ts";
import type { Manager } from "./managers.ts";
import { compareText, describePath, type PathElement } from "./path-element.ts";

/** A field that somebody else manages, and that an applied configuration has otherwise. */
export interface Conflict {
  /** Of the manager, by `identify`. */
  readonly id: string;
  readonly manager: Manager;
  readonly path: readonly PathElement[];
}

/** A configuration was not applied because others manage some of its fields. */
export class ConflictError extends Error {
  override name = "ConflictError";
  readonly conflicts: readonly Conflict[];

  constructor(conflicts: readonly Conflict[]) {
    super(messageOf(conflicts));
    this.conflicts = conflicts;
  }
}

/** Conflicts in order of their managers. */
export function conflictsOf(found: readonly (readonly [string, Manager, FieldSet])[]): Conflict[] {
  return [...found]
    .sort(([a], [b]) => compareText(a, b))
    .flatMap(([id, manager, set]) => pathsOf(set).map((path) => ({ id, manager, path })));
}

export const conflictSet = (conflicts: readonly Conflict[]): FieldSet => setOf(...conflicts.map(({ path }) => path));

/** 409 in upstream's words, with a cause for every field. */
export function applyConflict(conflicts: readonly Conflict[]): StatusError {
  return new StatusError({
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message: messageOf(conflicts),
    reason: "Conflict",
    details: {
      causes: conflicts.map(({ manager, path }) => ({
        reason: "FieldManagerConflict",
        message: `conflict with ${describeManager(manager)}`,
        field: describePath(path),
      })),
    },
    code: 409,
  });
}

function messageOf(conflicts: readonly Conflict[]): string {
  const [only] = conflicts;
  if (only && conflicts.length === 1)
    return `Apply failed with 1 conflict: conflict with ${describeManager(only.manager)}: ${describePath(only.path)}`;
  const lines: string[] = [];
  let last: string | undefined;
  for (const { id, manager, path } of conflicts) {
    if (id !== last) lines.push(`conflicts with ${describeManager(manager)}:`);
    lines.push(`- ${describePath(path)}`);
    last = id;
  }
  return `Apply failed with ${conflicts.length} conflicts: ${lines.join("\n")}`;
}

function describeManager({ manager, operation, apiVersion, subresource }: Manager): string {
  const name = JSON.stringify(manager) + (subresource ? ` with subresource ${JSON.stringify(subresource)}` : "");
  return operation === "Update" ? `${name} using ${apiVersion}` : name;
}
