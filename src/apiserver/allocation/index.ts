export { addressRecords, portRecords } from "./records.ts";
export { createServiceAllocator, type PortRange, type ServiceAllocatorOptions } from "./service.ts";
