export { annotations, dispositionOf, prefix as annotationPrefix, type Disposition } from "./annotations.ts";
export { optionOf } from "./options.ts";
export { readSettings, type NginxOptions, type NginxSettings } from "./settings.ts";
export { readStreamServices, type StreamServices } from "./stream-services.ts";
export {
  createNginxMemory,
  type NginxAbilities,
  readNginxIngresses,
  type NginxInput,
  type NginxMemory,
} from "./translate.ts";
