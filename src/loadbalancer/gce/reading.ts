import { ProviderFailure, type ExposureKey } from "../provider/contract.ts";
import { numberIn, textIn, type Shape } from "../provider/shape.ts";
import { ownerIn } from "./desired.ts";
import type { FoundFirewall, FoundRule } from "./plan.ts";

export const lastOf = (url: string) => url.split("/").at(-1) ?? "";
/** The zone in a URL of something zonal. */
export const zoneIn = (url: string) => /\/zones\/([^/]+)/.exec(url)?.[1] ?? "";
export const listIn = (one: Shape) => (one.isAbsent() ? [] : one.list());
export const textsIn = (one: Shape) => listIn(one).map((each) => each.text());
export const flagIn = (one: Shape) => (one.isAbsent() ? false : one.flag());

/** Undefined: there is none. Throws ProviderFailure Refused for what somebody else has made under our name. */
export function own(one: Shape | undefined, key: ExposureKey): Shape | undefined {
  if (!one) return undefined;
  const owner = ownerIn(textIn(one.at("description")));
  if (owner?.uid === key.uid && owner.cluster === key.cluster) return one;
  const words = `Google Cloud has a ${textIn(one.at("kind")) ?? "thing"} ${one.at("name").text()} that is not marked as this Service's or Ingress's; remove it`;
  throw new ProviderFailure("Refused", words);
}

export function healthOf(one: Shape) {
  const http = one.at("httpHealthCheck");
  if (http.isAbsent()) return { port: 0, path: "" };
  return { port: numberIn(http.at("port")) ?? 0, path: textIn(http.at("requestPath")) ?? "" };
}

export function backendOf(one: Shape) {
  const backends = one.at("backends");
  return {
    zones: listIn(backends)
      .map((each) => zoneIn(each.at("group").text()))
      .sort(),
    affinity: textIn(one.at("sessionAffinity")) ?? "NONE",
    fingerprint: one.at("fingerprint").text(),
  };
}

export function ruleOf(one: Shape): FoundRule {
  return {
    name: one.at("name").text(),
    protocol: one.at("IPProtocol").text() as FoundRule["protocol"],
    ports: [...textsIn(one.at("ports"))].sort((a, b) => Number(a) - Number(b)),
    address: one.at("IPAddress").text(),
    globalAccess: flagIn(one.at("allowGlobalAccess")),
  };
}

export function firewallOf(one: Shape, name: string): FoundFirewall {
  const found = one.at("name").text();
  const allowed = one.at("allowed");
  return {
    name: found,
    sources: [...textsIn(one.at("sourceRanges"))].sort(),
    tags: [...textsIn(one.at("targetTags"))].sort(),
    allowed: listIn(allowed)
      .map((each) => ({ protocol: each.at("IPProtocol").text(), ports: textsIn(each.at("ports")) }))
      .sort((a, b) => (a.protocol < b.protocol ? -1 : 1)),
    toAddress: found === name,
    destinations: textsIn(one.at("destinationRanges")),
  };
}
