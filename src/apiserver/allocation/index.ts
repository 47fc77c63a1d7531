export { addressRecords, portRecords } from "./records.ts";
export { ensureServiceCidrs, keepServiceCidrs, type ServiceCidrsOptions } from "./service-cidrs.ts";
export {
  createServiceAllocator,
  familiesOf,
  isAllocated,
  type PortRange,
  type ServiceAllocatorOptions,
} from "./service.ts";
