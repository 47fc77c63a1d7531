import { statusError } from "../../kube/index.ts";
import type { Wanted } from "../request/negotiate.ts";
import { convertedForm, loadedForm, metadataForm, storedForm, type Form } from "../storage/index.ts";
import type { ProtobufForms } from "./protobuf-form.ts";
import type { Served } from "./served.ts";
import { tableForm, type IncludeObject } from "./table-form.ts";

const stored = new Map<Served, Form>();

/** The form in which a client wants the objects of a collection. `now` in milliseconds: a watch goes on. */
export function formFor(
  served: Served,
  wanted: Wanted,
  query: URLSearchParams,
  { now, protobuf }: { readonly now: () => number; readonly protobuf: ProtobufForms },
): Form {
  if (wanted.encoding === "protobuf") return wanted.as === "object" ? protobuf.own(served) : protobuf.metadata();
  switch (wanted.as) {
    case "Table":
      return tableForm(served, includeObject(query), now);
    case "PartialObjectMetadata":
    case "PartialObjectMetadataList":
      return metadataForm();
    default:
      return ownForm(served);
  }
}

function ownForm(served: Served): Form {
  const known = stored.get(served);
  if (known) return known;
  if (served.conversion) return loadedForm(served.resource, served.conversion);
  const form = served.view ? convertedForm(served.resource, served.view.show) : storedForm(served.resource);
  stored.set(served, form);
  return form;
}

/** What the rows of a table shall carry. Throws StatusError BadRequest. */
export function includeObject(query: URLSearchParams): IncludeObject {
  const value = query.get("includeObject") || "Metadata";
  if (value === "None" || value === "Metadata" || value === "Object") return value;
  throw statusError(
    "BadRequest",
    `Unable to convert to Table as requested: includeObject: Invalid value: ${JSON.stringify(value)}: must be 'Metadata', 'Object', 'None', or empty`,
  );
}
