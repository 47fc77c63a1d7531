import { definitionOf, type NamedDefinition } from "../../kube/index.ts";
import type { CatalogEntry } from "./groups.ts";

const listMeta = "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";

/** The structure of a list of a kind; undefined where that of the kind has no name. */
export function listSchema({ kind, verbs, schema }: CatalogEntry): NamedDefinition | undefined {
  if (!verbs.includes("list")) return undefined;
  const list = { ...kind, kind: `${kind.kind}List` };
  const builtIn = definitionOf(list);
  if (builtIn) return builtIn;
  const { name } = schema() ?? {};
  if (name === undefined) return undefined;
  return {
    name: `${name}List`,
    definition: {
      description: `${list.kind} is a list of ${kind.kind}`,
      type: "object",
      required: ["items"],
      properties: {
        apiVersion: { type: "string" },
        items: { type: "array", items: { $ref: `#/definitions/${name}` } },
        kind: { type: "string" },
        metadata: { $ref: listMeta },
      },
      "x-kubernetes-group-version-kind": [list],
    },
  };
}
