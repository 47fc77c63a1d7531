import type { KubeObject } from "./object.ts";
import type { FieldError } from "./field-error.ts";
import type { IpFamily } from "./values/ip.ts";

export interface StrategyContext {
  /** Now, as RFC 3339 in UTC with whole seconds. */
  readonly now: string;
  /** What of the object the request writes: absent the whole object, else a subresource: `status`, `scale`, `binding`, `finalize`. */
  readonly subresource?: string;
  /** Who writes; absent where nobody asks for it. */
  readonly user?: {
    readonly name: string;
    readonly uid?: string;
    readonly groups: readonly string[];
    readonly extra?: Readonly<Record<string, readonly string[]>>;
  };
  /** `group/version` in which the request speaks, where that is another than the stored one: `events.k8s.io/v1`. */
  readonly apiVersion?: string;
  /** Loopback addresses may be endpoints and load-balancer addresses: a cluster without root lives on 127/8. */
  readonly allowLoopback?: boolean;
  /** The families that Services have cluster addresses of, the primary one first (KEP-563). Absent: IPv4. */
  readonly serviceFamilies?: readonly IpFamily[];
}

/**
 * What one kind does on write, as Kubernetes' registry strategies: pure functions over plain objects.
 * The API server calls, for create: prepareForCreate, (allocation), validateCreate;
 * for update: defaults, prepareForUpdate, (allocation), validateUpdate.
 * What all kinds share of metadata is checked here and set by the API server: uid, timestamps, generated names, deletion.
 */
export interface Strategy {
  /** Loads what the check of `object` needs; undefined when it is there. Settled before the object is prepared and validated. */
  ready?(object: KubeObject): Promise<void> | undefined;
  /** Fills in defaults, in place. */
  defaults(object: KubeObject): void;
  /** Fills in defaults, clears what a client may not set (status) and sets the first status, in place. */
  prepareForCreate(object: KubeObject, context: StrategyContext): void;
  /** Keeps from `old` what this request may not write; raises `metadata.generation` when the spec changed. In place. */
  prepareForUpdate(object: KubeObject, old: KubeObject, context: StrategyContext): void;
  validateCreate(object: KubeObject, context: StrategyContext): readonly FieldError[];
  validateUpdate(object: KubeObject, old: KubeObject, context: StrategyContext): readonly FieldError[];
  /** Warnings for the client (`Warning: 299` headers). */
  warnings(object: KubeObject): readonly string[];
  /** Fields that a field selector may name beside metadata.name and metadata.namespace. */
  selectableFields(object: KubeObject): Readonly<Record<string, string>>;
  /** PUT to a name that does not exist creates the object, as it does in Kubernetes for some kinds. */
  readonly allowCreateOnUpdate: boolean;
  /** false: an update has to say by its resource version what it was made from. Absent: true. */
  readonly allowUnconditionalUpdate?: boolean;
  /** Grace period for a delete that names none: 0 for all kinds but Pod. */
  gracePeriodSeconds(object: KubeObject): number;
  /**
   * What becomes of dependents when a delete does not say: `orphan` they stay, `unsupported` the object never has any. Absent: they go.
   */
  readonly garbageCollection?: "orphan" | "unsupported";
  /** Warnings for who deletes; `policy` is what the request says about dependents. */
  deletionWarnings?(policy: string | undefined): readonly string[];
  /**
   * What the first delete of an object writes on it besides its time, in place: finalizers that hold it, a condition. A kind that has this
   * is never gone at once; there is no grace period, and its generation stays.
   */
  prepareForDelete?(object: KubeObject, context: StrategyContext): void;
}
