export { startServiceLoadBalancer, type ServiceLoadBalancer, type ServiceLoadBalancerOptions } from "./controller.ts";
export { balances } from "./settings.ts";
export type { ServiceRoutes, TcpService } from "./translate.ts";
export { parseGoTemplate, TemplateError } from "./go-template.ts";
export { readManifest, type Manifest } from "./manifest.ts";
export { renderOnce, startPlugin, type Plugin, type PluginOptions } from "./plugin.ts";
