import { openEpollTcpServer } from "./epoll-tcp.ts";
import { fileLimit, filesForConnections } from "./file-limit.ts";
import { openNodeTcpServer } from "./node-tcp.ts";
import { openPoller } from "./poller.ts";
import { openSocketCalls } from "./socket-calls.ts";
import type { OpenServer } from "./target.ts";

let shared: Promise<OpenServer> | undefined;

/** All of this process's servers share one poller. Where the system has no epoll, or nothing to call it by, Node.js serves. */
function way(): Promise<OpenServer> {
  return (shared ??= openSocketCalls().then(
    (calls) => openEpollTcpServer(calls, openPoller(calls), { files: filesForConnections(fileLimit()) }),
    () => openNodeTcpServer,
  ));
}

export const openTcpServer: OpenServer = async (...asked) => (await way())(...asked);
