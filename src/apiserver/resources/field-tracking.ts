import {
  apiVersionOf,
  decode,
  definitionOf,
  objectAtom,
  resetFieldsOf,
  trackUpdate,
  type KubeObject,
  type ManagedKind,
  type ManagedVersion,
} from "../../kube/index.ts";
import type { ApiRequest } from "../handler.ts";
import { timestamp, type WriteContext } from "../registry/index.ts";
import { Entry } from "../storage/index.ts";
import type { Catalog } from "./catalog.ts";
import type { Served } from "./served.ts";

/** Says who manages the fields of what is written (`metadata.managedFields`). */
export interface FieldTracking {
  /** A kind and a part of it, for sets of fields in the version that `served` speaks. */
  kindOf(served: Served, subresource: string): ManagedKind;
  /** Records the writes of one request. */
  trackerOf(request: ApiRequest, served: Served, subresource: string): NonNullable<WriteContext["track"]>;
  /** A Scale: it has one version and is no object of its own. */
  scale(): ManagedKind;
  /** Now, as RFC 3339. */
  now(): string;
}

export const scaleKind = { group: "autoscaling", version: "v1", kind: "Scale" } as const;

export function createFieldTracking(catalog: Catalog, now: () => number): FieldTracking {
  const kinds = new WeakMap<Served, Map<string, ManagedKind>>();

  /** What serves objects of `apiVersion` that are stored as those of `served`. */
  const inVersion = (served: Served, apiVersion: string): Served | undefined => {
    if (apiVersionOf(served.resource) === apiVersion) return served;
    const { group, plural } = served.stored;
    return catalog
      .all()
      .find(
        ({ resource, stored }) =>
          apiVersionOf(resource) === apiVersion && stored.group === group && stored.plural === plural,
      );
  };

  const convert = (served: Served, target: Served, object: KubeObject): KubeObject | Promise<KubeObject> => {
    if (object.apiVersion === apiVersionOf(target.resource)) return object;
    const from = inVersion(served, object.apiVersion);
    if (target.conversion) return converted(from?.conversion, target.conversion, object);
    const stored = from?.view ? from.view.store(object) : object;
    return target.view ? target.view.show(stored) : stored;
  };

  const versionOf = (served: Served, target: Served): ManagedVersion => ({
    apiVersion: apiVersionOf(target.resource),
    atom: objectAtom(target.schema()?.definition),
    convert: (object) => convert(served, target, object),
  });

  const make = (served: Served, subresource: string): ManagedKind => {
    const { resource } = served;
    const custom = definitionOf(resource) === undefined;
    const header = { apiVersion: apiVersionOf(resource), kind: resource.kind };
    return {
      kind: resource.kind,
      version: versionOf(served, served),
      subresource,
      reset: resetFieldsOf({ ...resource, custom }, subresource),
      empty: custom ? { ...header, metadata: { name: "" } } : decode<KubeObject>(resource, header).object,
      changeable: custom,
      versionOf(apiVersion) {
        const target = inVersion(served, apiVersion);
        return target && versionOf(served, target);
      },
    };
  };

  const kindOf: FieldTracking["kindOf"] = (served, subresource) => {
    let parts = kinds.get(served);
    if (!parts) kinds.set(served, (parts = new Map<string, ManagedKind>()));
    let kind = parts.get(subresource);
    if (!kind) parts.set(subresource, (kind = make(served, subresource)));
    return kind;
  };

  let scale: ManagedKind | undefined;
  return {
    kindOf,
    scale() {
      scale ??= {
        kind: scaleKind.kind,
        version: {
          apiVersion: apiVersionOf(scaleKind),
          atom: objectAtom(definitionOf(scaleKind)?.definition),
          convert: (object) => object,
        },
        subresource: "scale",
        reset: (set) => set,
        empty: decode<KubeObject>(scaleKind, {}).object,
        changeable: false,
        versionOf: () => undefined,
      };
      return scale;
    },
    trackerOf(request, served, subresource) {
      const kind = kindOf(served, subresource);
      const manager = managerOf(request);
      const { view } = served;
      return (object, old) => {
        const writer = { manager, now: timestamp(now()) };
        if (!view) return trackUpdate(kind, writer, object, old);
        const shown = view.show(object);
        const done = trackUpdate(kind, writer, shown, old && view.show(old));
        const keep = (): void => {
          const { managedFields } = shown.metadata;
          if (managedFields) object.metadata.managedFields = managedFields;
          else delete object.metadata.managedFields;
        };
        return done ? done.then(keep) : keep();
      };
    },
    now: () => timestamp(now()),
  };
}

type Converting = NonNullable<Served["conversion"]>;

/** A custom resource in another version: by way of the one in which it is stored. */
async function converted(from: Converting | undefined, to: Converting, object: KubeObject): Promise<KubeObject> {
  const stored = from ? await from.save(object) : object;
  return to.load(new Entry("", 0, Buffer.from(JSON.stringify(stored))));
}

/** Longest name of a manager, in bytes. */
const longestManager = 128;

/** Who writes: as the request says, else what its user agent begins with. */
export function managerOf({ query, headers }: Pick<ApiRequest, "query" | "headers">): string {
  const named = query.get("fieldManager");
  if (named) return named;
  const agent = (headers["user-agent"] ?? "").split("/", 1)[0] ?? "";
  let manager = "";
  let size = 0;
  for (const char of agent) {
    if (!/[\p{L}\p{M}\p{N}\p{P}\p{S} ]/u.test(char)) continue;
    size += Buffer.byteLength(char);
    if (size > longestManager) break;
    manager += char;
  }
  return manager;
}
