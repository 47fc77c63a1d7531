import type { KubeObject } from "../../kube/index.ts";
import { bodyOf, joined, type Entry, type Form, type ListMeta } from "../storage/index.ts";
import { tableFor } from "../table/index.ts";
import type { Served } from "./served.ts";

export type IncludeObject = "None" | "Metadata" | "Object";

/** Objects as a `Table` (meta.k8s.io/v1): what `kubectl get` prints. `now` in milliseconds, for ages. */
export function tableForm(
  served: Pick<Served, "stored" | "printer" | "conversion">,
  include: IncludeObject,
  now: () => number,
): Form {
  const { stored: resource, printer, conversion } = served;
  const options = () => ({ now: now(), includeObject: include, printer });
  const shown = (entry: Entry): KubeObject => (conversion ? conversion.shown(entry) : entry.object);
  const table = (objects: readonly KubeObject[], metadata: ListMeta): object => ({
    ...tableFor(resource, objects, options()),
    metadata,
  });
  function* rowBytes(entries: readonly Entry[]): Generator<Uint8Array> {
    for (const entry of entries) {
      for (const row of tableFor(resource, [shown(entry)], options()).rows) yield Buffer.from(JSON.stringify(row));
    }
  }
  const versionOf = (entry: Entry): ListMeta => ({ resourceVersion: entry.object.metadata.resourceVersion ?? "" });
  return {
    id: `table ${include} ${resource.version}`,
    ...(conversion ? { prepare: (entries: readonly Entry[]) => conversion.prepare(entries) } : {}),
    one: (entry) => bodyOf(table([shown(entry)], versionOf(entry))),
    list: (entries, meta) => ({
      get object() {
        return table(entries.map(shown), meta);
      },
      bytes() {
        const { rows: _rows, ...head } = tableFor(resource, [], options());
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
