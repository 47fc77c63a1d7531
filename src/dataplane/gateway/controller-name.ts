/** `spec.controllerName` of the GatewayClasses that Fairlead serves. */
export const gatewayControllerName = "fairlead.dev/gateway";
