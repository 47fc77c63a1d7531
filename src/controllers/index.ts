export type { ControllerContext } from "./context.ts";
export { startControllers, type ControllersOptions } from "./start-controllers.ts";
