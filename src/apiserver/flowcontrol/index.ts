export { createFlowControl, seatsOf, TooManyRequests, type FlowControl, type Ticket } from "./flow-control.ts";
export { keepFlowControl } from "./keep.ts";
