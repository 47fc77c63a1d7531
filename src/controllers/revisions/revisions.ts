import { type Client, type Informer, unless } from "../../client/index.ts";
import {
  type ControllerRevision,
  isStatus,
  keyOf,
  type KubeObject,
  nameOfKey,
  type PodTemplateSpec,
  type Resource,
  resources,
  semanticEqual,
} from "../../kube/index.ts";
import { hashOf } from "../deployment/hash.ts";
import type { OwnWrites } from "../own-writes.ts";
import { referenceTo } from "../pod-draft.ts";
import { ownerKeyOf, type Owners } from "../pod-owners.ts";

/** Label that tells of which revision a pod or a ControllerRevision is. */
export const revisionLabel = "controller-revision-hash";

/** A StatefulSet or a DaemonSet: it keeps the past states of its template in ControllerRevisions. */
export interface Revised extends KubeObject {
  readonly spec: { readonly template: PodTemplateSpec; readonly revisionHistoryLimit?: number };
  readonly status?: { readonly collisionCount?: number };
}

export interface Revisions {
  /** That of the template as it is now. */
  readonly update: ControllerRevision;
  /** All, the oldest first. */
  readonly all: readonly ControllerRevision[];
  /** How often a name was taken; undefined when it never was. */
  readonly collisionCount: number | undefined;
}

interface Snapshot {
  readonly spec?: { readonly template?: PodTemplateSpec & { readonly $patch?: string } };
}

/** What a revision holds: a strategic merge patch that brings its template back, as `kubectl rollout undo` sends it. */
const snapshotOf = (template: PodTemplateSpec): Snapshot => ({
  spec: { template: { ...template, $patch: "replace" } },
});

/** The template that a revision holds. */
export function templateOf({ data }: ControllerRevision): PodTemplateSpec {
  const { $patch: _patch, ...template } = (data as Snapshot | undefined)?.spec?.template ?? {};
  return template;
}

/** Oldest first. */
const sorted = (revisions: readonly ControllerRevision[]): ControllerRevision[] =>
  [...revisions].sort((a, b) => a.revision - b.revision || (a.metadata.name < b.metadata.name ? -1 : 1));

/**
 * Makes sure that the template of `owner` is its newest revision: an equal one from the past becomes it, else one is made. `known` are
 * the revisions it has.
 */
export async function keepRevisions(
  client: Client,
  resource: Resource,
  owner: Revised,
  known: readonly ControllerRevision[],
): Promise<Revisions> {
  const all = sorted(known);
  const { template } = owner.spec;
  const highest = all.at(-1)?.revision ?? 0;
  const equal = all.findLast((revision) => semanticEqual(templateOf(revision), template));
  const { collisionCount } = owner.status ?? {};
  if (equal === all.at(-1) && equal) return { update: equal, all, collisionCount };
  if (equal) {
    const { uid, resourceVersion } = equal.metadata;
    const body = { metadata: { uid, resourceVersion }, revision: highest + 1 };
    const update = await client.patch(resources.ControllerRevision, nameOfKey(keyOf(equal)), { type: "merge", body });
    return { update, all: [...all.filter((one) => one !== equal), update], collisionCount };
  }
  for (let collisions = collisionCount; ; collisions = (collisions ?? 0) + 1) {
    const update = await create(client, resource, owner, highest + 1, collisions);
    if (update) return { update, all: [...all, update], collisionCount: collisions };
  }
}

/** Undefined when its name is taken by another. */
async function create(
  client: Client,
  resource: Resource,
  owner: Revised,
  revision: number,
  collisions: number | undefined,
): Promise<ControllerRevision | undefined> {
  const { template } = owner.spec;
  const { namespace = "", name: ownerName } = owner.metadata;
  const hash = hashOf(template, collisions);
  const name = `${ownerName.slice(0, 223)}-${hash}`;
  const data = snapshotOf(template);
  try {
    return await client.create(resources.ControllerRevision, {
      metadata: {
        name,
        namespace,
        labels: { ...template.metadata?.labels, [revisionLabel]: hash },
        ...(owner.metadata.annotations ? { annotations: revisionAnnotations(owner) } : {}),
        ownerReferences: [referenceTo(owner, resource)],
      },
      data: data as NonNullable<ControllerRevision["data"]>,
      revision,
    });
  } catch (error) {
    if (!isStatus(error, "AlreadyExists")) throw error;
    const there = await client.get(resources.ControllerRevision, { namespace, name });
    const own = there.metadata.ownerReferences?.some(({ uid }) => uid === owner.metadata.uid) ?? false;
    return own && semanticEqual(there.data, data) ? there : undefined;
  }
}

/** `kubernetes.io/change-cause` and the like go along: `kubectl rollout history` shows them. */
function revisionAnnotations({ metadata }: Revised): Record<string, string> {
  const { "kubectl.kubernetes.io/last-applied-configuration": _applied, ...annotations } = metadata.annotations ?? {};
  return annotations;
}

/** Removes the oldest revisions that no pod is of, above `revisionHistoryLimit`. */
export async function trimRevisions(
  client: Client,
  owner: Revised,
  all: readonly ControllerRevision[],
  isLive: (revision: ControllerRevision) => boolean,
): Promise<void> {
  const old = sorted(all).filter((revision) => !isLive(revision));
  const limit = owner.spec.revisionHistoryLimit ?? 10;
  for (const revision of limit < 0 ? [] : old.slice(0, Math.max(0, old.length - limit)))
    await unless(client.delete(resources.ControllerRevision, nameOfKey(keyOf(revision))), "NotFound");
}

/** Wakes each owner, by its key, whose revisions changed; what was written of one that is gone counts no more. */
export function followRevisions<T extends KubeObject>(
  owners: Owners<T>,
  revisions: Pick<Informer<ControllerRevision>, "onChange">,
  writes: Pick<OwnWrites, "forget">,
  wake: (key: string) => void,
): void {
  revisions.onChange(({ before, after }) => {
    if (before && !after) writes.forget(before);
    const one = after ?? before;
    const key = one && ownerKeyOf(owners, one);
    if (key) wake(key);
  });
}
