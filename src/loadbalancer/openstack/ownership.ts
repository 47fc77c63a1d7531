import type { ExposureKey } from "../provider/contract.ts";

/**
 * Whose a load balancer is stands in its tags, and nowhere else. Tags (API v2.5) hold 255 characters, so names go in pieces.
 * A load balancer may be shared: then it has the tags of each.
 */

const clusterTag = (cluster: string) => `fairlead-cluster=${cluster}`;
/** Of what belongs to a Service. It is what is looked for. */
export const uidTag = (uid: string): string => `fairlead-uid=${uid}`;
export const groupTag = (cluster: string, group: string): string => `fairlead-group=${cluster}/${group}`;
export const clusterTagOf = clusterTag;
/** Made here, and so removed here. */
const madeTag = "fairlead-made=true";
const piece = 180;

function nameTags({ cluster, namespace, name, uid }: ExposureKey): string[] {
  const text = `${cluster}/${namespace}/${name}`;
  const count = Math.ceil(text.length / piece);
  return Array.from({ length: count }, (_, i) => `fairlead-of=${uid}=${i}=${text.slice(i * piece, (i + 1) * piece)}`);
}

/** Tags of a load balancer that is made for a Service. */
export function tagsFor(key: ExposureKey, group?: string): string[] {
  const shared = group === undefined ? [] : [groupTag(key.cluster, group)];
  return [...joined([madeTag, ...shared], key)];
}

/** Tags with those of one more Service. */
export function joined(tags: readonly string[], key: ExposureKey): readonly string[] {
  return [...new Set([...tags, clusterTag(key.cluster), uidTag(key.uid), ...nameTags(key)])];
}

/** Tags without those of a Service. */
export function left(tags: readonly string[], { uid, cluster }: ExposureKey): readonly string[] {
  const others = tags.filter((tag) => tag !== uidTag(uid) && !tag.startsWith(`fairlead-of=${uid}=`));
  const isOurs = others.some((tag) => tag.startsWith("fairlead-uid="));
  return isOurs ? others : others.filter((tag) => tag !== clusterTag(cluster));
}

export const isMade = (tags: readonly string[]): boolean => tags.includes(madeTag);

/** Services of a cluster that a load balancer has tags of. */
export function ownersIn(tags: readonly string[], cluster: string): readonly ExposureKey[] {
  const owners: ExposureKey[] = [];
  for (const tag of tags) {
    const uid = /^fairlead-uid=(.+)$/.exec(tag)?.[1];
    if (uid === undefined) continue;
    const begin = `fairlead-of=${uid}=`;
    const pieces = tags.filter((one) => one.startsWith(begin)).map((one) => one.slice(begin.length));
    const text = pieces
      .map((one) => /^(\d+)=(.*)$/.exec(one))
      .sort((a, b) => Number(a?.[1] ?? 0) - Number(b?.[1] ?? 0))
      .map((match) => match?.[2] ?? "")
      .join("");
    const [of = "", namespace = "", name = ""] = text.split("/");
    if (of === cluster && name) owners.push({ cluster, namespace, name, uid });
  }
  return owners;
}
