import type { KubeObject, Resource } from "../../kube/index.ts";
import { bodyOf, joined, type Entry, type Form, type ListMeta } from "../storage/index.ts";
import { tableFor } from "../table/index.ts";

export type IncludeObject = "None" | "Metadata" | "Object";

/** Objects as a `Table` (meta.k8s.io/v1): what `kubectl get` prints. `now` in milliseconds, for ages. */
export function tableForm(resource: Resource, include: IncludeObject, now: () => number): Form {
  const table = (objects: readonly KubeObject[], metadata: ListMeta): object => ({
    ...tableFor(resource, objects, { now: now(), includeObject: include }),
    metadata,
  });
  function* rowBytes(entries: readonly Entry[]): Generator<Uint8Array> {
    for (const entry of entries) {
      for (const row of tableFor(resource, [entry.object], { now: now(), includeObject: include }).rows)
        yield Buffer.from(JSON.stringify(row));
    }
  }
  const versionOf = (entry: Entry): ListMeta => ({ resourceVersion: entry.object.metadata.resourceVersion ?? "" });
  return {
    id: `table ${include}`,
    one: (entry) => bodyOf(table([entry.object], versionOf(entry))),
    list: (entries, meta) => ({
      get object() {
        return table(
          entries.map((entry) => entry.object),
          meta,
        );
      },
      bytes() {
        const { rows: _rows, ...head } = tableFor(resource, [], { now: now(), includeObject: include });
        return joined({ ...head, metadata: meta }, "rows", rowBytes(entries));
      },
    }),
    bookmark: (revision, initial) => {
      const annotations = initial ? { annotations: { "k8s.io/initial-events-end": "true" } } : {};
      const metadata = { resourceVersion: String(revision), creationTimestamp: null, ...annotations };
      const object = { kind: "PartialObjectMetadata", apiVersion: "meta.k8s.io/v1", metadata };
      return { ...table([], { resourceVersion: String(revision) }), rows: [{ cells: [], object }] };
    },
  };
}
