import type { GroupVersionKind, KubeObject, Resource, Strategy } from "../../kube/index.ts";
import type { UserInfo } from "../handler.ts";
import type { Entry } from "../storage/index.ts";

/** One write, as far as it does not depend on what is written. */
export interface WriteContext {
  readonly user: UserInfo;
  readonly resource: Resource;
  /** What `resource` does on write. */
  readonly strategy: Strategy;
  /** "" for cluster-scoped objects. */
  readonly namespace: string;
  readonly subresource: string;
  readonly dryRun: boolean;
  /** The request's options as an object of meta.k8s.io/v1 (`CreateOptions`, ...), for who passes the request on. */
  readonly options?: () => object;
  /** What the client writes, when that is another kind than what is stored. */
  readonly shown?: Shown;
  /** How stored objects become objects of `resource` and back, where they are not the same. Absent: they are. */
  readonly conversion?: Conversion;
  /** Admission was asked about this request before, with another object of it (a Binding, an Eviction): it is not asked again. */
  readonly admitted?: boolean;
  /**
   * Records in `object`, in place and before admission, who manages its fields; `old` is as it was, and absent for a create. Absent: they
   * are as `object` says.
   */
  track?(object: KubeObject, old: KubeObject | undefined): void | Promise<void>;
  /** Collects what the client shall be warned of. */
  warn(text: string): void;
  /** Keeps a remark of admission on the request, for the audit log. */
  annotate?(key: string, value: string): void;
  /** Counts milliseconds in which webhooks were asked: they are not the server's own. */
  waited?(milliseconds: number): void;
}

/** Objects of one version of a kind that is stored in another one: custom resources. */
export interface Conversion {
  /** The kind as it is stored. */
  readonly stored: Resource;
  /** The object that an entry means in this version, with its defaults. Shared: must not be changed. */
  load(entry: Entry): KubeObject | Promise<KubeObject>;
  /** The object in the version in which it is stored. */
  save(object: KubeObject): KubeObject | Promise<KubeObject>;
}

/** Another view of what is stored: a Scale, an Event of events.k8s.io, a custom resource in another version. */
export interface Shown {
  readonly kind: GroupVersionKind;
  /** The collection that the request names; its part is the context's `subresource`. */
  readonly resource: { readonly group: string; readonly version: string; readonly plural: string };
  show(stored: KubeObject): KubeObject | Promise<KubeObject>;
  /** The object to be stored that means `shown`; `stored` is what `shown` was made of. */
  store(shown: KubeObject, stored: KubeObject): KubeObject | Promise<KubeObject>;
}

/** What an admission step is asked about. Shared by all steps of one write. */
export interface AdmissionRequest {
  readonly operation: "CREATE" | "UPDATE" | "DELETE" | "CONNECT";
  readonly context: WriteContext;
  /** "" for an object whose name the server is yet to make. */
  readonly name: string;
  /** Kind of `object` and `old`: another than the context's resource for a part with its own kind. */
  readonly kind: GroupVersionKind;
  /** A mutating step may change it or put another in its place; a validating one only reads. Absent for a delete. */
  object?: KubeObject;
  /** As it is before; shared: not to be changed. */
  readonly old?: KubeObject;
  readonly round: AdmissionRound;
}

/** Mutating steps are asked a second time when one of them says that what it did concerns those before it (reinvocation). */
export interface AdmissionRound {
  /** True in the second round; there is no third. */
  readonly again: boolean;
  /** Set by a step in the first round to have a second one. */
  wanted: boolean;
  /** What a step keeps for itself from the first round, under a key of its own; made by the first that keeps something. */
  memory: Map<object, unknown> | undefined;
}

/** Changes or refuses (by a StatusError) what is about to be written. */
export type Admission = (request: AdmissionRequest) => void | Promise<void>;

/** The steps in the order in which they are asked: those that may change an object before its validation, the others after it. */
export interface AdmissionChain {
  readonly mutating: readonly Admission[];
  readonly validating: readonly Admission[];
}

type Question = Omit<AdmissionRequest, "round" | "kind"> & { readonly kind?: GroupVersionKind };

/** Asks all mutating steps, twice if one wants it. The request as they left it: its object may be another one. */
export async function mutate(chain: AdmissionChain, question: Question): Promise<AdmissionRequest> {
  const first = requestOf(question, { again: false, wanted: false, memory: undefined });
  await askSteps(chain.mutating, first);
  if (!first.round.wanted) return first;
  const second = { ...first, round: { again: true, wanted: false, memory: first.round.memory } };
  await askSteps(chain.mutating, second);
  return second;
}

/** Asks all validating steps. */
export async function validate(chain: AdmissionChain, question: Question): Promise<void> {
  await askSteps(chain.validating, requestOf(question, { again: false, wanted: false, memory: undefined }));
}

function requestOf(question: Question, round: AdmissionRound): AdmissionRequest {
  const { shown, resource } = question.context;
  return { ...question, kind: question.kind ?? shown?.kind ?? resource, round };
}

/**
 * Asks steps one after the other, from the one with this number. Undefined: all have answered, as most do at once, which costs no turn of the
 * event loop. Throws, or rejects with, what the first of them that refuses throws.
 */
export function askSteps(steps: readonly Admission[], request: AdmissionRequest, from = 0): Promise<void> | undefined {
  for (let i = from; i < steps.length; i++) {
    const waiting = steps[i]?.(request);
    if (waiting) return waiting.then(() => askSteps(steps, request, i + 1));
  }
  return undefined;
}
