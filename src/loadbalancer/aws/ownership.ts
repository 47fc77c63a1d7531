import { ProviderFailure, type ExposureKey } from "../provider/contract.ts";
import type { QueryValue } from "./query.ts";
import type { Xml } from "./xml.ts";

// Whose something is stands in its tags.

const tagNames = {
  cluster: "fairlead.dev/cluster",
  namespace: "fairlead.dev/namespace",
  name: "fairlead.dev/name",
  uid: "fairlead.dev/uid",
};
export const tagsOf = (key: ExposureKey): QueryValue =>
  (["cluster", "namespace", "name", "uid"] as const).map((of) => ({ Key: tagNames[of], Value: key[of] }));

/** Whose something is, by its description in the answer of DescribeTags; undefined: nobody's whom we know. */
export function keyInTags(one: Xml): ExposureKey | undefined {
  const tags = new Map(one.members("Tags").map((tag) => [tag.at("Key").text, tag.find("Value")?.text ?? ""]));
  const uid = tags.get(tagNames.uid);
  const cluster = tags.get(tagNames.cluster);
  if (uid === undefined || cluster === undefined) return undefined;
  return { cluster, namespace: tags.get(tagNames.namespace) ?? "", name: tags.get(tagNames.name) ?? "", uid };
}

/** A load balancer of our name that is not marked as the Service's. */
export const notOurs = (name: string): ProviderFailure =>
  new ProviderFailure(
    "Refused",
    `AWS has a load balancer ${name} that is not marked as this Service's; remove it, or its tags were lost`,
  );
