export { azureClass, azureProvider, createProvider } from "./provider.ts";
