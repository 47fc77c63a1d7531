export type { ControllerContext } from "./context.ts";
export { startDeploymentController } from "./deployment/controller.ts";
export { startReplicaSetController } from "./replica-set/controller.ts";
