// The program of a process that serves HTTP for a controller: started with the channel to it and the descriptor of its inbox.
import { openDescriptorInbox } from "../../descriptors.ts";
import { confine } from "./confine.ts";
import type { FromWorker, ToWorker } from "./protocol.ts";
import { runWorker } from "./worker.ts";

const [inbox = "", uid = "", gid = ""] = process.argv.slice(2);

// All that is ever loaded is loaded now: another user may not be able to read where it is.
await import("undici");
const descriptors = await openDescriptorInbox(Number(inbox));
await confine(uid === "" ? undefined : { uid: Number(uid), gid: Number(gid) });

const worker = runWorker((message: FromWorker, sent = () => {}) => {
  if (process.connected) process.send?.(message, undefined, undefined, sent);
  else sent();
}, descriptors);
process.on("message", (message) => worker.receive(message as ToWorker));
process.once("disconnect", () => worker.stop());
// The controller says when to end; a signal to the group of processes, as from a terminal, is for it.
process.on("SIGINT", () => {});
process.on("SIGTERM", () => {});
process.send?.({ type: "ready" });
await worker.stopped;
process.exit(0);
