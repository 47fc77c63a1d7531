import type { KubeObject, LabelSelector, ParamKind, ParamRef } from "../../../kube/index.ts";
import { apiVersionOf, matchesLabels } from "../../../kube/index.ts";
import type { Catalog, Served } from "../../resources/index.ts";
import { keyFor, prefixFor, type Entry, type Storage } from "../../storage/index.ts";

/** Finds the objects that a binding names as parameters. Throws an Error with upstream's words when it can not. */
export function createParamFinder(storage: Storage, catalog: Catalog) {
  const servedAs = ({ apiVersion, kind }: ParamKind): Served | undefined =>
    catalog.all().find(({ resource }) => resource.kind === kind && apiVersionOf(resource) === apiVersion);

  const shown = ({ view, conversion }: Served, entry: Entry): KubeObject | Promise<KubeObject> =>
    conversion ? conversion.load(entry) : (view?.show(entry.object) ?? entry.object);

  /**
   * The objects to evaluate a policy with, once for each; `[undefined]` when there are to be none. An empty list: those that
   * are named do not exist, and the binding allows that.
   */
  return async (
    paramKind: ParamKind | undefined,
    paramRef: ParamRef | undefined,
    namespace: string,
  ): Promise<readonly (KubeObject | undefined)[]> => {
    if (!paramKind || !paramRef) return [undefined];
    const served = servedAs(paramKind);
    if (!served)
      throw new Error(`paramKind kind \`${paramKind.apiVersion ?? ""}, Kind=${paramKind.kind ?? ""}\` not known`);
    const { stored, resource } = served;
    if (!resource.namespaced && paramRef.namespace)
      throw new Error("paramRef.namespace must not be provided for a cluster-scoped `paramKind`");
    const within = resource.namespaced ? paramRef.namespace || namespace : "";
    if (resource.namespaced && !within)
      throw new Error("cannot use namespaced paramRef in policy binding that matches cluster-scoped resources");
    const cache = storage.of(stored);
    const found = paramRef.name
      ? [cache.get(keyFor(stored, { namespace: within, name: paramRef.name }))]
      : cache.under(prefixFor(stored, within)).filter(selectedBy(paramRef.selector));
    const params: KubeObject[] = [];
    for (const entry of found) if (entry) params.push(await shown(served, entry));
    if (params.length === 0 && paramRef.parameterNotFoundAction === "Deny")
      throw new Error("no params found for policy binding with `Deny` parameterNotFoundAction");
    return params;
  };
}

const selectedBy =
  (selector: LabelSelector | undefined) =>
  ({ object }: Entry): boolean =>
    matchesLabels(selector, object.metadata.labels);
