export { startDns, type Dns, type DnsOptions } from "./dns.ts";
export { writeDnsService, type DnsServiceOptions } from "./service.ts";
export { ListenError } from "./server.ts";
export { answer, type Zone, type ZoneAnswer } from "./zone.ts";
export type { ClusterView } from "./view.ts";
