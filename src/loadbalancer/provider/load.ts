import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { messageOf } from "../../client/index.ts";
import { capabilityFaults, checkedProvider } from "./checked.ts";
import type { LoadBalancerProvider, ProviderModule } from "./contract.ts";

/** A provider's module cannot be used. */
export class ProviderModuleError extends Error {
  readonly code = "PROVIDER_MODULE";
}

const texts = ["name", "loadBalancerClass"] as const;
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
  const ours = builtIn.get(path);
  if (ours) return (await ours()).createProvider(config);
  const file = resolve(path);
  if (!existsSync(file)) {
    const names = [...builtIn.keys()].join(", ");
    throw new ProviderModuleError(`${path} cannot be loaded: there is no file ${file}, and of ours there are ${names}`);
  }
  let module: Partial<ProviderModule>;
  try {
    module = (await import(pathToFileURL(file).href)) as Partial<ProviderModule>;
  } catch (error) {
    const hint = error instanceof Error && error.name === "SyntaxError" ? `; \`node --check ${path}\` says where` : "";
    throw new ProviderModuleError(`${path} cannot be loaded: ${messageOf(error)}${hint}`);
  }
  if (typeof module.createProvider !== "function") {
    throw new ProviderModuleError(`${path} does not export a function createProvider`);
  }
  const provider = await module.createProvider(config);
  const given = provider as unknown as Record<string, unknown> | undefined;
  // All at once: whoever writes one corrects them together.
  const missing = (what: string, names: readonly string[], type: string) => {
    const none = names.filter((name) => typeof given?.[name] !== type);
    return none.length > 0 ? [`it has no ${what} ${none.join(", ")}`] : [];
  };
  const faults = [
    ...missing("function", functions, "function"),
    ...missing("text", texts, "string"),
    ...capabilityFaults(given?.["capabilities"]),
  ];
  if (faults.length > 0)
    throw new ProviderModuleError(`${path}: what createProvider answers is no provider: ${faults.join("; ")}`);
  return checkedProvider(provider);
}
