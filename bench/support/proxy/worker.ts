// One proxy in a process of its own, so that its memory and time are its own. Told by messages of its parent.
import { setMaxListeners } from "node:events";
import { ownRanges } from "../../../src/cli/cluster/local-ranges.ts";
import { keepHeapSmall } from "../../../src/cli/heap.ts";
import { createHttpClient, createInformers, loadKubeconfig } from "../../../src/client/index.ts";
import { resources } from "../../../src/kube/index.ts";
import { startProxy, type Proxy, type ProxyMode } from "../../../src/proxy/index.ts";
import { createLogger, systemClock, systemCommands } from "../../../src/system/index.ts";
import { quantile } from "../report.ts";
import { context } from "./objects.ts";

/** What the worker sends. Times are of the monotonic clock that all processes share, in nanoseconds. */
export type Said =
  | { readonly type: "ready"; readonly milliseconds: number; readonly cpu: number }
  | { readonly type: "applied"; readonly address: string; readonly at: string }
  | {
      readonly type: "figures";
      readonly rss: number;
      readonly cpu: number;
      readonly p50: number;
      readonly p99: number;
      readonly failure?: string;
    };

const [kubeconfig = "", mode = "nftables"] = process.argv.slice(2);
const send = (said: Said): void => void process.send?.(said);
/** Milliseconds of this process's time so far, in user and kernel mode. */
const cpu = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

keepHeapSmall();
const stop = new AbortController();
setMaxListeners(0, stop.signal);
const log = createLogger({ level: "error" });
const begun = performance.now();
const before = cpu();
const client = createHttpClient(await loadKubeconfig({ path: kubeconfig }));
const informers = createInformers(client, { signal: stop.signal, log });
/** Milliseconds from a change's arrival here, before the proxy has seen it, to its being in force. */
let took: number[] = [];
let serving: Proxy | undefined;
informers.of(resources.EndpointSlice).onChange(({ before: old, after }) => {
  const arrived = performance.now();
  const address = after?.endpoints?.[0]?.addresses[0];
  const now = serving;
  if (!old || !now || address === undefined) return;
  // The proxy is told after this.
  queueMicrotask(() => {
    now.settled().then(
      () => {
        const at = process.hrtime.bigint();
        took.push(performance.now() - arrived);
        send({ type: "applied", address, at: String(at) });
      },
      () => {},
    );
  });
});
const proxy = await startProxy({
  client,
  informers,
  nodeName: context.node.name,
  mode: mode as ProxyMode,
  nodeAddresses: context.node.addresses,
  podCidrs: context.podCidrs,
  serviceCidrs: context.serviceCidrs,
  signal: stop.signal,
  clock: systemClock,
  log,
  commands: systemCommands,
  ownAddresses: (own, ranges) => ownRanges(systemCommands, own ? ranges : []),
});
await proxy.ready;
send({ type: "ready", milliseconds: performance.now() - begun, cpu: cpu() - before });
serving = proxy;

process.on("message", () => {
  const failure = proxy.failure();
  const figures = took;
  took = [];
  send({
    type: "figures",
    rss: process.memoryUsage().rss,
    cpu: cpu(),
    p50: quantile(figures, 0.5),
    p99: quantile(figures, 0.99),
    ...(failure === undefined ? {} : { failure }),
  });
});
process.on("disconnect", () => {
  stop.abort();
  void proxy.stopped.finally(() => process.exit());
});
