export { awsClass, awsProvider, createProvider } from "./provider.ts";
