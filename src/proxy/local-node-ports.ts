import type { NodePlan, ProxyContext } from "../services/index.ts";
import type { Clock, Logger } from "../system/index.ts";
import type { Backend } from "./backend.ts";
import type { Syncs } from "./figures.ts";
import type { LoggedPacket } from "./packet-log.ts";
import { createUserspaceBackend } from "./userspace/index.ts";

const localhost = { IPv4: "127.0.0.1", IPv6: "::1" } as const;

/**
 * Adds to a kernel backend that NodePorts answer on localhost too. The kernel would route such packets out of the machine
 * only with `route_localnet`, which opens what listens on localhost to the neighbours (CVE-2020-8558), so user space serves
 * them (as KEP-6032 does).
 */
export function withLocalNodePorts(
  kernel: Backend,
  options: {
    readonly context: ProxyContext;
    readonly signal: AbortSignal;
    readonly clock: Clock;
    readonly log: Logger;
    readonly syncs?: Syncs;
    readonly logged?: (packet: LoggedPacket) => void;
  },
): Backend {
  const { context, signal, clock, log, syncs } = options;
  const onLocalhost = (context: ProxyContext): ProxyContext => ({
    ...context,
    node: { ...context.node, addresses: context.families.map((family) => localhost[family]) },
  });
  const local = createUserspaceBackend({
    signal,
    clock,
    log,
    context: onLocalhost(context),
    ...(syncs ? { openFailed: syncs.localNodePortFailed } : {}),
    ...(options.logged ? { logged: options.logged } : {}),
  });
  syncs?.localNodePorts(() => local.listeners());
  return {
    mode: kernel.mode,
    update(key, plan) {
      kernel.update(key, plan);
      local.update(key, plan && nodePortsOf(plan));
    },
    setContext(context) {
      kernel.setContext(context);
      local.setContext(onLocalhost(context));
    },
    start() {
      kernel.start();
      local.start();
    },
    settled: () => kernel.settled(),
    frontends: (service) => [...kernel.frontends(service), ...local.frontends(service)],
    get failure() {
      return kernel.failure;
    },
    repair: () => kernel.repair(),
    retire() {
      return Promise.all([kernel.retire(), local.retire()]).then(() => {});
    },
    connections: () => local.connections(),
    serviceConnections: async () => [...(await kernel.serviceConnections()), ...(await local.serviceConnections())],
    stopped: Promise.all([kernel.stopped, local.stopped]).then(() => {}),
  };
}

/** Undefined for a Service without NodePorts: there is nothing to listen for. */
function nodePortsOf(plan: NodePlan): NodePlan | undefined {
  // Most have none.
  if (!plan.ports.some(({ frontends }) => frontends.some(({ kind }) => kind === "NodePort"))) return undefined;
  const ports = plan.ports
    .map((port) => ({ ...port, frontends: port.frontends.filter(({ kind }) => kind === "NodePort") }))
    .filter((port) => port.frontends.length > 0);
  return ports.length > 0 ? { ...plan, ports } : undefined;
}
