export { type ForwardTarget, servePortForward } from "./port-forward.ts";
export { Refusal } from "./refusal.ts";
export { type CommandStreams, commandStreams, serveRemoteCommand } from "./remote-command.ts";
