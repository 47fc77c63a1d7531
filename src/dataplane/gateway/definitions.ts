import type { Client } from "../../client/index.ts";
import { isEstablished, isStatus, resources } from "../../kube/index.ts";
import { gatewayResources } from "../../routing/index.ts";
import type { Clock } from "../../system/index.ts";

/** Milliseconds between two looks: doubling from the first to the last. */
const pause = { first: 100, last: 5_000 };

/**
 * Settles when the cluster has all kinds of the Gateway API; until then nobody can have an object of them. `onMissing`: the cluster was asked, and does
 * not have them. Rejects when the signal aborts.
 */
export async function whenInstalled(
  client: Client,
  signal: AbortSignal,
  clock: Clock,
  onMissing: () => void,
): Promise<void> {
  let wait = pause.first;
  for (const { group, plural } of Object.values(gatewayResources)) {
    for (;;) {
      const found = await client
        .get(resources.CustomResourceDefinition, { name: `${plural}.${group}` })
        .catch((error: unknown) => {
          signal.throwIfAborted();
          // An API that is away comes back.
          if (isStatus(error, "NotFound", "Forbidden")) onMissing();
          return undefined;
        });
      if (found && isEstablished(found)) break;
      await clock.sleep(wait, signal);
      wait = Math.min(2 * wait, pause.last);
    }
  }
}
