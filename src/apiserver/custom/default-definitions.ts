import { isStatus, resources, type CustomResourceDefinition } from "../../kube/index.ts";
import { ownContext, type Registry, type WriteContext } from "../registry/index.ts";
import { keyFor, type Storage } from "../storage/index.ts";

const kind = resources.CustomResourceDefinition;
const bundleVersion = "gateway.networking.k8s.io/bundle-version";
/** Marks what the server has put there itself, and may replace by a newer one. */
const installedBy = "fairlead.dev/installed-by";
const server = "apiserver";

/** The definitions of the Gateway API. Parsed anew each time: they are needed once in the life of a cluster. */
export async function gatewayApi(): Promise<CustomResourceDefinition[]> {
  const { gatewayDefinitions } = await import("./generated/gateway-crds.ts");
  const definitions = JSON.parse(gatewayDefinitions) as CustomResourceDefinition[];
  const { describeGatewayKind } = await import("./gateway-descriptions.ts");
  for (const definition of definitions) describeGatewayKind(definition);
  return definitions;
}

/**
 * Writes the definitions that a cluster lacks. One that is there is left as it is, unless the server itself has put it there and it is of
 * an older bundle.
 */
export async function installDefaults(
  { storage, registry, signal }: { storage: Storage; registry: Registry; signal: AbortSignal },
  definitions: readonly CustomResourceDefinition[],
): Promise<void> {
  await storage.caughtUp();
  for (const definition of definitions) {
    // Others have their turn between one and the next.
    await new Promise((resolve) => setImmediate(resolve));
    if (signal.aborted) return;
    const { metadata } = definition;
    const annotations = { ...metadata.annotations, [installedBy]: server };
    const marked = { ...definition, metadata: { ...metadata, annotations } };
    const there = storage.of(kind).get(keyFor(kind, { name: metadata.name }))?.object as
      | CustomResourceDefinition
      | undefined;
    try {
      if (!there) await registry.create(trusting(), marked);
      else if (isOlder(there, definition))
        await registry.update(
          trusting(),
          metadata.name,
          (current) => ({
            ...(current as CustomResourceDefinition),
            metadata: { ...current.metadata, annotations: { ...current.metadata.annotations, ...annotations } },
            spec: definition.spec,
          }),
          { retry: true },
        );
    } catch (error) {
      // Another server was quicker, or someone has deleted it meanwhile.
      if (!isStatus(error, "AlreadyExists", "NotFound")) throw error;
    }
  }
}

function isOlder(there: CustomResourceDefinition, ours: CustomResourceDefinition): boolean {
  const { annotations = {} } = there.metadata;
  if (annotations[installedBy] !== server) return false;
  return compareBundles(annotations[bundleVersion] ?? "", ours.metadata.annotations?.[bundleVersion] ?? "") < 0;
}

/** Negative when `a` is the older one; what is no version is not older than anything. */
export function compareBundles(a: string, b: string): number {
  const parse = (text: string): number[] | undefined => /^v(\d+)\.(\d+)\.(\d+)$/.exec(text)?.slice(1).map(Number);
  const [one, two] = [parse(a), parse(b)];
  if (!one || !two) return 0;
  return one.map((part, i) => part - (two[i] ?? 0)).find((difference) => difference !== 0) ?? 0;
}

/** What the program carries was checked when it was built: that costs no start time. */
function trusting(): WriteContext {
  const context = ownContext(kind, "");
  return {
    ...context,
    strategy: {
      ...context.strategy,
      ready: () => undefined,
      validateCreate: () => [],
      validateUpdate: () => [],
      warnings: () => [],
    },
  };
}
