import { type Client, messageOf, unless } from "../../client/index.ts";
import {
  keyOf,
  type KubeObject,
  nameOfKey,
  type NamespaceCondition,
  type Resource,
  resources,
} from "../../kube/index.ts";
import { customKindOf } from "../custom-kinds.ts";

/** What is left in a namespace that is being deleted. */
export interface Remains {
  /** Number of objects by resource name. */
  readonly objects: ReadonlyMap<string, number>;
  /** Number of objects by the finalizer that holds them. */
  readonly finalizers: ReadonlyMap<string, number>;
  readonly failures: readonly string[];
}

const builtIn = (Object.values(resources) as Resource[]).filter((resource) => resource.namespaced);

/**
 * Deletes what is in a namespace: first the pods, and when the last has gone everything else (KEP-5080), so that what pods
 * use and what keeps them apart outlives them. Returns what was there before: nothing, when the work is done.
 */
export async function removeContent(client: Client, namespace: string): Promise<Remains> {
  const objects = new Map<string, number>();
  const finalizers = new Map<string, number>();
  const failures: string[] = [];
  const isPod = ({ kind }: Resource) => kind === "Pod";

  const remove = async (resource: Resource): Promise<void> => {
    try {
      const { items } = await client.list(resource, { namespace });
      if (items.length > 0) objects.set(nameOf(resource), items.length);
      for (const object of items) {
        for (const name of object.metadata.finalizers ?? []) finalizers.set(name, (finalizers.get(name) ?? 0) + 1);
        if (!object.metadata.deletionTimestamp) await removeObject(client, resource, object);
      }
    } catch (error) {
      failures.push(`${nameOf(resource)}: ${messageOf(error)}`);
    }
  };

  await Promise.all(builtIn.filter(isPod).map(remove));
  if (objects.size === 0 && failures.length === 0) {
    const custom = await customKinds(client).catch((error: unknown) => {
      failures.push(`customresourcedefinitions.apiextensions.k8s.io: ${messageOf(error)}`);
      return [];
    });
    await Promise.all([...builtIn.filter((resource) => !isPod(resource)), ...custom].map(remove));
  }
  return { objects, finalizers, failures };
}

/** Kinds in namespaces that CustomResourceDefinitions serve, each in one version. */
async function customKinds(client: Client): Promise<Resource[]> {
  const { items } = await client.list(resources.CustomResourceDefinition);
  return items.flatMap((definition) => {
    const kind = customKindOf(definition);
    return kind?.namespaced ? [kind] : [];
  });
}

async function removeObject(client: Client, resource: Resource, object: KubeObject): Promise<void> {
  const { uid } = object.metadata;
  const options = { propagationPolicy: "Background", ...(uid ? { preconditions: { uid } } : {}) } as const;
  await unless(client.delete(resource, nameOfKey(keyOf(object)), options), "NotFound", "Conflict");
}

const nameOf = ({ plural, group }: Resource): string => (group ? `${plural}.${group}` : `${plural}.`);

type Told = Omit<NamespaceCondition, "lastTransitionTime">;

/** The conditions of a namespace that is being deleted, in upstream's words. */
export function conditionsOf({ objects, finalizers, failures }: Remains): Told[] {
  const count = (counts: ReadonlyMap<string, number>, verb: string) =>
    [...counts]
      .sort()
      .map(([name, number]) => `${name} ${verb} ${number} resource instances`)
      .join(", ");
  const told = (
    type: string,
    wrong: boolean,
    reasons: [bad: string, good: string],
    messages: [bad: string, good: string],
  ): Told => {
    const at = wrong ? 0 : 1;
    return { type, status: wrong ? "True" : "False", reason: reasons[at], message: messages[at] };
  };
  return [
    told(
      "NamespaceDeletionDiscoveryFailure",
      false,
      ["DiscoveryFailed", "ResourcesDiscovered"],
      ["", "All resources successfully discovered"],
    ),
    told(
      "NamespaceDeletionGroupVersionParsingFailure",
      false,
      ["GroupVersionParsingFailed", "ParsedGroupVersions"],
      ["", "All legacy kube types successfully parsed"],
    ),
    told(
      "NamespaceDeletionContentFailure",
      failures.length > 0,
      ["ContentDeletionFailed", "ContentDeleted"],
      [
        `Failed to delete all resource types, ${failures.length} remaining: ${failures.join(", ")}`,
        "All content successfully deleted, may be waiting on finalization",
      ],
    ),
    told(
      "NamespaceContentRemaining",
      objects.size > 0,
      ["SomeResourcesRemain", "ContentRemoved"],
      [`Some resources are remaining: ${count(objects, "has")}`, "All content successfully removed"],
    ),
    told(
      "NamespaceFinalizersRemaining",
      finalizers.size > 0,
      ["SomeFinalizersRemain", "ContentHasNoFinalizers"],
      [
        `Some content in the namespace has finalizers remaining: ${count(finalizers, "in")}`,
        "All content-preserving finalizers finished",
      ],
    ),
  ];
}
