export { startCustomResources, type CustomResources, type CustomResourcesOptions } from "./controller.ts";
