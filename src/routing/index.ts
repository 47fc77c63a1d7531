export type * from "./model.ts";
export { routesOf } from "./model.ts";
export type { Problem } from "./problem.ts";
export { match, matchOn, certificateFor, type Match, type RoutingRequest, type Why } from "./match.ts";
export { canonicalPath } from "./path.ts";
export { canonicalHost } from "./host.ts";
export {
  createTranslationMemory,
  translateIngresses,
  type IngressInput,
  type Translation,
  type TranslationMemory,
} from "./ingress.ts";
export { poolOf, type PoolTarget } from "./pool.ts";
export { readKeyPair, type InspectKeyPair } from "./tls.ts";
export { textOf } from "./owner.ts";
