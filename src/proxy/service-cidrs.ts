import type { Client, Informers } from "../client/index.ts";
import { isStatus, resources } from "../kube/index.ts";
import { parseCidr } from "../services/index.ts";
import type { Clock, Logger } from "../system/index.ts";

/** Milliseconds between two questions to a server that does not answer. */
const askEvery = 1_000;

/**
 * Where Services have their addresses, as the cluster's ServiceCIDRs say (KEP-1880). `changed` is called with all ranges at the beginning and
 * whenever they change. Resolves when they are known, or when the cluster does not tell: a server before 1.33, or one that does not let us
 * look. Then an address that no Service has is left alone.
 */
export async function followServiceCidrs(
  options: {
    readonly client: Client;
    readonly informers: Informers;
    readonly signal: AbortSignal;
    readonly clock: Clock;
    readonly log: Logger;
  },
  changed: (cidrs: readonly string[]) => void,
): Promise<void> {
  const { client, informers, signal, clock, log } = options;
  for (let served = await isServed(client, log); served !== true; served = await isServed(client, log)) {
    if (served === false) return;
    await clock.sleep(askEvery, signal);
  }
  const informer = informers.of(resources.ServiceCIDR);
  let known = "";
  const tell = (): void => {
    const cidrs = informer
      .list()
      .flatMap(({ spec }) => spec?.cidrs ?? [])
      .filter((text) => parseCidr(text) !== undefined)
      .sort();
    if (cidrs.join() === known) return;
    known = cidrs.join();
    changed(cidrs);
  };
  await informer.synced;
  informer.onChange(tell);
  tell();
}

/** Undefined when the server cannot be asked now. */
async function isServed(client: Client, log: Logger): Promise<boolean | undefined> {
  try {
    await client.list(resources.ServiceCIDR, { limit: 1 });
    return true;
  } catch (error) {
    if (!isStatus(error, "NotFound", "Forbidden")) return undefined;
    const reason = error.message;
    log.info({ reason }, "the ranges of Services are not known: addresses in them that no Service has are left alone");
    return false;
  }
}
