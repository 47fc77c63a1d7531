export { createConnector, type Connector } from "./connector.ts";
export { passOn, type Backend, type PassOnOptions, type PassedAnswer } from "./pass-on.ts";
