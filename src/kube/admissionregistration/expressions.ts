import type * as Cel from "../cel/index.ts";
import { loadCel, type CelModule } from "../load-cel.ts";
import { fault, type Faults } from "../validation/fault.ts";

/** What an expression of a policy or of a match condition can read and write. */
export interface Declared {
  readonly params: boolean;
  readonly authorizer: boolean;
  readonly namespaceObject?: boolean;
  /** Types of the policy's own variables. */
  readonly variables?: ReadonlyMap<string, Cel.CelType>;
  /** Types that the expression may write. */
  readonly structs?: (name: string) => Cel.ObjectType | undefined;
  /** For type checking: what is otherwise unknown. */
  readonly objectType?: Cel.CelType | undefined;
  readonly paramsType?: Cel.CelType | undefined;
}

const cache = new WeakMap<CelModule, { request: Cel.ObjectType; namespace: Cel.ObjectType }>();

/** Types of `request` and `namespaceObject`. */
export function admissionTypes(cel: CelModule): { request: Cel.ObjectType; namespace: Cel.ObjectType } {
  const known = cache.get(cel);
  if (known) return known;
  const { bool, dyn, int, listOf, mapOf, objectOf, string, timestamp } = cel;
  const kind = objectOf("kubernetes.GroupVersionKind", { group: string, version: string, kind: string });
  const resource = objectOf("kubernetes.GroupVersionResource", { group: string, version: string, resource: string });
  const types = {
    request: objectOf("kubernetes.AdmissionRequest", {
      kind,
      resource,
      subResource: string,
      requestKind: kind,
      requestResource: resource,
      requestSubResource: string,
      name: string,
      namespace: string,
      operation: string,
      userInfo: objectOf("kubernetes.UserInfo", {
        username: string,
        uid: string,
        groups: listOf(string),
        extra: mapOf(string, listOf(string)),
      }),
      dryRun: bool,
      options: dyn,
    }),
    namespace: objectOf("kubernetes.Namespace", {
      metadata: objectOf("kubernetes.NamespaceMetadata", {
        name: string,
        generateName: string,
        namespace: string,
        labels: mapOf(string, string),
        annotations: mapOf(string, string),
        UID: string,
        creationTimestamp: timestamp,
        deletionGracePeriodSeconds: int,
        deletionTimestamp: timestamp,
        generation: int,
        resourceVersion: string,
        finalizers: listOf(string),
      }),
      spec: objectOf("kubernetes.NamespaceSpec", { finalizers: listOf(string) }),
      status: objectOf("kubernetes.NamespaceStatus", { phase: string }),
    }),
  };
  cache.set(cel, types);
  return types;
}

/** The variables of an expression of a policy or of a match condition, with their types. */
export function declaredVariables(cel: CelModule, declared: Declared): Record<string, Cel.CelType> {
  const { request, namespace } = admissionTypes(cel);
  const { objectType = cel.dyn, paramsType = cel.dyn, variables, namespaceObject = true } = declared;
  const variablesType = variables && cel.objectOf("kubernetes.variables", Object.fromEntries(variables));
  return {
    object: objectType,
    oldObject: objectType,
    request,
    ...(namespaceObject ? { namespaceObject: namespace } : {}),
    ...(declared.params ? { params: paramsType } : {}),
    ...(declared.authorizer
      ? { authorizer: cel.authorizerType, "authorizer.requestResource": cel.resourceCheckType }
      : {}),
    ...(variablesType ? { variables: variablesType } : {}),
  };
}

/** An expression of a policy; one that does not compile fails each time it is asked. */
export type Expression =
  | { readonly source: string; readonly compiled: Cel.Compiled }
  | { readonly source: string; readonly compileError: string };

/** Compiles an expression of a policy or of a match condition. */
export function compileFor(
  cel: CelModule,
  source: string,
  declared: Declared,
  resultType?: Cel.CelType | readonly Cel.CelType[],
): Expression {
  const compiled = cel.compileExpression(source, {
    variables: declaredVariables(cel, declared),
    ...(resultType ? { resultType } : {}),
    ...(declared.structs ? { structs: declared.structs } : {}),
  });
  if (compiled.ok) return { source, compiled };
  return {
    source,
    compileError: compiled.reason === "result" ? compiled.message : `compilation failed: ${compiled.message}`,
  };
}

const patchOf = new WeakMap<CelModule, Cel.ObjectType>();

/** The types that mutations may write: `Object{...}`, `Object.spec{...}` and so on, and `JSONPatch{...}`. */
export function mutationStructs(cel: CelModule): (name: string) => Cel.ObjectType | undefined {
  return (name) => {
    if (name === "JSONPatch") {
      let type = patchOf.get(cel);
      if (!type) {
        type = cel.objectOf("JSONPatch", { op: cel.string, path: cel.string, from: cel.string, value: cel.dyn });
        patchOf.set(cel, type);
      }
      return type;
    }
    if (name !== "Object" && !name.startsWith("Object.")) return undefined;
    return { kind: "object", name, fields: () => new Map(), open: true };
  };
}

/** Checks the expressions of one object; undefined where nothing of them has changed since they were checked. */
export type ExpressionCheck = CelModule | undefined;

/** The expression language, for kinds whose objects may have expressions: loaded when the first such object comes. */
export function createLanguage(): {
  /** As a Strategy's `ready`: to be settled before `loaded` is asked. */
  readonly ready: () => Promise<void> | undefined;
  readonly loaded: () => ExpressionCheck;
} {
  let cel: CelModule | undefined;
  return {
    ready: () =>
      cel
        ? undefined
        : loadCel().then((module) => {
            cel = module;
          }),
    loaded: () => cel,
  };
}

/** Faults of an expression that stands at `path`; `shown` is what is told of it, where that is more than its text. */
export function* validateExpression(
  check: ExpressionCheck,
  source: string,
  path: string,
  declared: Declared,
  resultType: Cel.CelType | readonly Cel.CelType[] | undefined,
  shown = source,
): Faults {
  if (!check) return;
  const expression = compileFor(check, source, declared, resultType);
  if ("compileError" in expression) yield fault.invalid(path, shown, expression.compileError);
}
