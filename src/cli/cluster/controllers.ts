import type { Component } from "../../system/index.ts";
import { supervise } from "../supervise.ts";
import type { PartContext } from "./cluster.ts";

/** The parts that work on objects only: every controller, and the scheduler. */
export function startControllers(context: PartContext): Component[] {
  const { controlPlane, informers, metrics, clock, log, plan } = context;
  const authenticated = "system:authenticated";
  const controllers = supervise(
    "controllers",
    async (signal) => {
      const { startControllers: start } = await import("../../controllers/index.ts");
      const client = controlPlane.clientOf({ name: "system:kube-controller-manager", groups: [authenticated] });
      return start({
        client,
        informers,
        metrics,
        signal,
        clock,
        log: log.child({ component: "controllers" }),
        clusterCIDR: plan.podCIDR,
        rootCA: controlPlane.pki.ca,
      });
    },
    context,
  );
  const scheduler = supervise(
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
