import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { startLeaderElection } from "../../client/index.ts";
import type { Component } from "../../system/index.ts";
import { supervise } from "../supervise.ts";
import { nodePrefix } from "./addresses.ts";
import type { PartContext } from "./cluster.ts";

export type ControllersContext = Pick<
  PartContext,
  "controlPlane" | "informers" | "metrics" | "clock" | "log" | "plan" | "signal"
>;

/** The parts that work on objects only: every controller, and the scheduler. Of several processes on one store, one does each. */
export function startControllers(context: ControllersContext): Component[] {
  const { controlPlane, informers, metrics, clock, log, plan } = context;
  const authenticated = "system:authenticated";
  const controllers = led(
    "kube-controller-manager",
    "controllers",
    async (signal) => {
      const { startControllers: start } = await import("../../controllers/index.ts");
      const client = controlPlane.backgroundClientOf({
        name: "system:kube-controller-manager",
        groups: [authenticated],
      });
      return start({
        client,
        informers,
        metrics,
        signal,
        clock,
        log: log.child({ component: "controllers" }),
        clusterCIDRs: plan.podCIDRs,
        nodePrefix,
        rootCA: controlPlane.pki.ca,
        signer: controlPlane.pki.signer,
        signToken: (draft) => controlPlane.signToken(draft),
      });
    },
    context,
  );
  const scheduler = led(
    "kube-scheduler",
    "scheduler",
    async (signal) => {
      const { startScheduler } = await import("../../scheduler/index.ts");
      const client = controlPlane.clientOf({ name: "system:kube-scheduler", groups: [authenticated] });
      return startScheduler({ client, informers, metrics, signal, clock, log: log.child({ component: "scheduler" }) });
    },
    context,
  );
  return [controllers, scheduler];
}

/** Runs a part as long as this process leads; where nobody else can, from the start on. */
function led(
  lease: string,
  name: string,
  start: (signal: AbortSignal) => Promise<Component>,
  context: ControllersContext,
): Component {
  const { controlPlane, clock, log, metrics } = context;
  const leads = metrics.gauge(
    "leader_election_master_status",
    "Whether this process does the work of a lease: 1, or 0 while another one does.",
    ["name"],
  )(lease);
  leads.set(controlPlane.shared ? 0 : 1);
  if (!controlPlane.shared) return supervise(name, start, context);
  const client = controlPlane.clientOf({ name: "system:fairlead", groups: ["system:masters", "system:authenticated"] });
  const election = startLeaderElection({
    client,
    clock,
    log,
    signal: context.signal,
    lease: { namespace: "kube-system", name: lease },
    identity: `${hostname()}_${randomUUID()}`,
    lead: async (signal) => {
      leads.set(1);
      await supervise(name, start, { signal, clock, log }).stopped.finally(() => leads.set(0));
    },
  });
  // Whether this process leads or waits for its turn: it is ready.
  return { ...election, ready: Promise.resolve() };
}
