export type * from "./model.ts";
export { certificatesOf, heldBodyBytes, routesOf, routesOfHost, streamsOf } from "./model.ts";
export {
  allowsOrigin,
  changedPath,
  corsFields,
  corsFieldsEverywhere,
  redirectLocation,
  type Cors,
  type Field,
  type Filter,
  type HeaderChanges,
  type PathChange,
  type Redirect,
  type RedirectedRequest,
  sslLocation,
  urlLocation,
} from "./filters.ts";
export type * from "./policies.ts";
export { cookieOf, parseTemplate, renderTemplate, type RequestFacts, type Template } from "./template.ts";
export type { Problem } from "./problem.ts";
export {
  match,
  matchOn,
  matchStream,
  poolsOf,
  certificateFor,
  certificateIn,
  type Match,
  type RequestView,
  type RoutingRequest,
  type Why,
} from "./match.ts";
export {
  alpnAnnotation,
  asksForCertificates,
  challengeFor,
  challengeProtocol,
  type ChallengeType,
  challengeTypeAnnotation,
  challengeTypeOf,
  challengeTypes,
} from "./challenge.ts";
export { serverFor, streamFor } from "./server.ts";
export { wholePattern } from "./expression.ts";
export { canonicalPath } from "./path.ts";
export { canonicalHost } from "./host.ts";
export { createHostTable, type HostTableBuilder } from "./host-table.ts";
export {
  createTranslationMemory,
  translateIngresses,
  type IngressInput,
  type Translation,
  type TranslationMemory,
} from "./ingress.ts";
export { createClaims, type Claims } from "./claims.ts";
export { changedKeys, derive, gather } from "./derived.ts";
export { poolOf, type PoolTarget } from "./pool.ts";
export { readKeyPair, readTls, type InspectKeyPair } from "./tls.ts";
export { plainPath, readIngress, type Reading } from "./reading.ts";
export { oldestFirst, refOf, textOf } from "./owner.ts";
export { classSelector, type ClassVerdict } from "./ingress-class.ts";
export * from "./gateway/index.ts";
export { createPoolMemory, type PoolMemory } from "./pool.ts";
export * from "./ingress-nginx/index.ts";
export { recall, type Ask, type Remembered } from "./recall.ts";
export { outcomeOf, rewrittenPath, type AskedRequest, type Outcome } from "./outcome.ts";
export * from "./migrate/index.ts";
export { canarySuffix, canaryShare, stayOf } from "./canary.ts";
