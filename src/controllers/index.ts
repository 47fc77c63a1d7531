export type { ControllerContext } from "./context.ts";
export { startControllers, type ControllersOptions } from "./start-controllers.ts";
export { addressTypesOf, endpointOf, hasSelector, type AddressType } from "./endpoint-slice/endpoints.ts";
export { groupByPorts } from "./endpoint-slice/plan.ts";
