export * from "./contract.ts";
export { converge, remove, type Convergence } from "./converge.ts";
export { providerCondition, startProviderController, type ProviderControllerOptions } from "./controller.ts";
export { loadProvider, ProviderModuleError } from "./load.ts";
export { withRenewal, type RenewalOptions } from "./renewal.ts";
export { contractKinds, runContract, type ContractKind, type ContractOptions, type ContractResult } from "./suite.ts";
