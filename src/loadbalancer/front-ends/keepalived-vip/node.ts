import { readFile, writeFile } from "node:fs/promises";
import { messageOf, type Client, type Informers } from "../../../client/index.ts";
import { resources } from "../../../kube/index.ts";
import type { DataPlane } from "../../../dataplane/index.ts";
import {
  type Clock,
  type CommandRunner,
  type Component,
  type Logger,
  type Metrics,
  whenAborted,
} from "../../../system/index.ts";
import { startVipAgent, type VipAgent } from "../../vip/index.ts";
import { readVips } from "./config-map.ts";
import { changedKey, createServiceView } from "../service-view.ts";
import { poolOfConfigMap } from "./controller.ts";
import { proxyModel } from "./plan.ts";

export interface VipNodeOptions {
  readonly client: Client;
  readonly informers: Informers;
  readonly nodeName: string;
  readonly dir: string;
  readonly configMap: { readonly namespace: string; readonly name: string };
  readonly proxyMode: boolean;
  readonly proxyVersion: 1 | 2;
  readonly namespace?: string;
  readonly releaseVips: boolean;
  /** Starts what leads packets where it says PROXY; called when there is something to lead for the first time. */
  readonly dataplane: () => Promise<DataPlane>;
  readonly commands: CommandRunner;
  readonly metrics?: Metrics;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface VipNode extends Component {
  /** Why this node does not do its part; undefined: it does. */
  failure(): string | undefined;
  readonly agent: VipAgent;
}

/** Milliseconds that changes are gathered before the data plane follows, and before a failed one is tried again. */
const gather = 20;
const again = 1_000;

/** Sets `ip_nonlocal_bind`. In a pod it can only be read, and its manifest has set it. */
async function bindAnywhere(family: string): Promise<void> {
  const file = `/proc/sys/net/${family}/ip_nonlocal_bind`;
  if ((await readFile(file, "utf8")).trim() !== "1") await writeFile(file, "1");
}

/** What one node does for a ConfigMap of keepalived-vip: it holds addresses by VRRP, and leads the packets of those that say PROXY. */
export function startVipNode(options: VipNodeOptions): VipNode {
  const { informers, configMap, signal, clock } = options;
  const log = options.log.child({ component: "keepalived-vip", node: options.nodeName });
  const source = `${configMap.namespace}/${configMap.name}`;
  const configMaps = informers.of(resources.ConfigMap);
  const view = createServiceView(informers);
  let dataplane: Promise<DataPlane> | undefined;
  let running: DataPlane | undefined;
  let failure: string | undefined;
  let used = new Set<string>();
  let due = false;

  const unhealthy = (): string | undefined => {
    const closed = running?.listeners().find(({ port }) => port === undefined);
    return failure ?? (closed && `${closed.name}: ${closed.error ?? "its port is not open"}`);
  };
  const agent = startVipAgent({
    ...options,
    log,
    release: options.releaseVips,
    unhealthy: () => Promise.resolve(unhealthy()),
  });

  async function follow(): Promise<void> {
    const { vips } = readVips(configMaps.get(configMap)?.data ?? {});
    used = new Set(vips.flatMap((vip) => vip.targets.map(({ namespace, name }) => `${namespace}/${name}`)));
    const { model } = proxyModel(
      {
        source,
        vips,
        pool: poolOfConfigMap(configMap),
        proxyMode: options.proxyMode,
        ...(options.namespace === undefined ? {} : { namespace: options.namespace }),
        service: view.service,
        slices: view.slicesOf,
      },
      options.proxyVersion,
    );
    if (model.listeners.length === 0 && !dataplane) return;
    if (!dataplane) {
      // A port can be opened before the node holds the address, so that it serves from the first moment.
      for (const family of ["ipv4", "ipv6"])
        await bindAnywhere(family).catch((error: unknown) =>
          log.warn(
            { family, error: messageOf(error) },
            "ip_nonlocal_bind cannot be set: ports open only on the holder",
          ),
        );
      dataplane = options.dataplane();
    }
    running = await dataplane;
    await running.ready;
    await running.apply({ model, keyPair: () => undefined });
  }

  function soon(): void {
    if (due || signal.aborted) return;
    due = true;
    void clock
      .sleep(failure === undefined ? gather : again, signal)
      .then(() => {
        due = false;
        return follow();
      })
      .then(
        () => void (failure = undefined),
        (error: unknown) => {
          if (signal.aborted) return;
          failure = messageOf(error);
          dataplane = running ? dataplane : undefined;
          log.error({ error: failure }, "the proxy cannot follow: trying again");
          soon();
        },
      );
  }

  void Promise.all([configMaps, view].map(({ synced }) => synced)).then(
    () => {
      configMaps.onChange((change) => {
        if (changedKey(change) === source) soon();
      });
      view.onChange((key) => {
        if (used.has(key)) soon();
      });
      soon();
    },
    () => {},
  );
  const stopped = Promise.all([agent.stopped, stopOf()]).then(() => {});
  return { name: "keepalived-vip", ready: agent.ready, stopped, agent, failure: () => unhealthy() ?? agent.failure() };

  async function stopOf(): Promise<void> {
    await new Promise<void>((resolve) => {
      whenAborted(signal, resolve);
    });
    await (
      await dataplane?.catch(() => undefined)
    )?.stopped;
  }
}
