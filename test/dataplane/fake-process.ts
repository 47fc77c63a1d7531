import { deserialize, serialize } from "node:v8";
import { openDescriptorInbox, openDescriptorPair } from "../../src/dataplane/descriptors.ts";
import type { StartProcess } from "../../src/dataplane/embedded/workers/process.ts";
import type { FromWorker, ToWorker } from "../../src/dataplane/embedded/workers/protocol.ts";
import { runWorker } from "../../src/dataplane/embedded/workers/worker.ts";

const copied = <T>(message: T): T => deserialize(serialize(message)) as T;

/** A process that is none: the same program and messages, in this one. Its start costs nothing. */
export const startFakeProcess: StartProcess = async ({ onMessage }) => {
  const pair = await openDescriptorPair();
  const inbox = await openDescriptorInbox(pair.remote);
  const worker = runWorker((message: FromWorker, sent = () => {}) => {
    setImmediate(() => {
      onMessage(copied(message));
      sent();
    });
  }, inbox);
  const ended = worker.stopped.then(() => {
    pair.close();
    return "stopped";
  });
  return {
    pid: process.pid,
    ended,
    kill: () => worker.stop(),
    send(message: ToWorker, descriptors = []) {
      for (const fd of descriptors) pair.send(fd);
      const sent = copied(message);
      setImmediate(() => worker.receive(sent));
    },
  };
};
