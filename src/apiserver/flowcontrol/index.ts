export { createFlowControl, seatsOf, TooManyRequests, type FlowControl, type Ticket } from "./flow-control.ts";
export { flowControlDump } from "./dumps.ts";
export { keepFlowControl } from "./keep.ts";
