import type { Client } from "../client/index.ts";
import type { KubeObject, Resource } from "../kube/index.ts";
import type { Clock } from "../system/index.ts";

/** Knows what a controller has written that its cache does not show yet. */
export interface OwnWrites {
  /** Use it for all writes that are to be known. */
  readonly client: Client;
  /** True when the controller has written a newer version of this cached object: an event is on its way, and work would be in vain. */
  isBehind(object: KubeObject): boolean;
  /** The object is gone. */
  forget(object: KubeObject): void;
}

/** Milliseconds after which a version that the cache never shows counts no more: the server may have been set back. */
const patience = 30_000;

/** Remembers the versions of what is written of these kinds. Versions are compared as numbers (KEP-5504). */
export function rememberWrites(client: Client, resources: readonly Resource[], clock: Clock): OwnWrites {
  const kinds = new Set(resources.map(({ group, kind }) => `${group}/${kind}`));
  const written = new Map<string, { version: number; at: number }>();
  const remember = async <T extends KubeObject>(resource: Resource<T>, write: Promise<T>): Promise<T> => {
    const object = await write;
    const { uid, resourceVersion } = object.metadata;
    if (uid && kinds.has(`${resource.group}/${resource.kind}`)) {
      written.set(uid, { version: Number(resourceVersion), at: clock.now() });
    }
    return object;
  };
  return {
    client: {
      ...client,
      update: (resource, object, options) => remember(resource, client.update(resource, object, options)),
      updateStatus: (resource, object, options) => remember(resource, client.updateStatus(resource, object, options)),
      patch: (resource, name, patch, options) => remember(resource, client.patch(resource, name, patch, options)),
    },
    isBehind({ metadata }) {
      const known = written.get(metadata.uid ?? "");
      if (!known) return false;
      const behind = Number(metadata.resourceVersion) < known.version && clock.now() - known.at < patience;
      if (!behind) written.delete(metadata.uid ?? "");
      return behind;
    },
    forget: ({ metadata }) => void written.delete(metadata.uid ?? ""),
  };
}
