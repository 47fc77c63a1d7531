import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { messageOf } from "../../client/index.ts";
import type { LoadBalancerProvider, ProviderModule } from "./contract.ts";

/** A provider's module cannot be used. */
export class ProviderModuleError extends Error {
  readonly code = "PROVIDER_MODULE";
}

const functions = ["list", "observe", "plan", "planRemoval", "apply", "addresses"] as const;

/** Providers that come with Fairlead, loaded when one is named. */
const builtIn = new Map<string, () => Promise<ProviderModule>>([
  ["openstack", () => import("../openstack/index.ts")],
  ["f5", () => import("../f5/index.ts")],
  ["rancher", () => import("../rancher/index.ts")],
  ["aws", () => import("../aws/index.ts")],
  ["aws-classic", () => import("../aws/classic.ts")],
  ["azure", () => import("../azure/index.ts")],
  ["gce", () => import("../gce/index.ts")],
]);

/**
 * Loads a provider that comes with Fairlead, by its name, or from an ES module that exports `createProvider(config)`. Throws
 * ProviderModuleError naming what is missing, ProviderConfigError for a configuration that one of ours cannot use.
 */
export async function loadProvider(path: string, config: unknown): Promise<LoadBalancerProvider> {
  let module: Partial<ProviderModule>;
  try {
    const ours = builtIn.get(path);
    module = ours ? await ours() : ((await import(pathToFileURL(resolve(path)).href)) as Partial<ProviderModule>);
  } catch (error) {
    throw new ProviderModuleError(`${path} cannot be loaded: ${messageOf(error)}`);
  }
  if (typeof module.createProvider !== "function") {
    throw new ProviderModuleError(`${path} does not export a function createProvider`);
  }
  const provider = await module.createProvider(config);
  const given = provider as unknown as Record<string, unknown> | undefined;
  for (const name of functions) {
    if (typeof given?.[name] !== "function")
      throw new ProviderModuleError(`${path}: the provider has no function ${name}`);
  }
  for (const name of ["name", "loadBalancerClass"] as const) {
    if (typeof given?.[name] !== "string") throw new ProviderModuleError(`${path}: the provider has no text ${name}`);
  }
  if (typeof given?.["capabilities"] !== "object" || given["capabilities"] === null) {
    throw new ProviderModuleError(`${path}: the provider does not say its capabilities`);
  }
  return provider;
}
