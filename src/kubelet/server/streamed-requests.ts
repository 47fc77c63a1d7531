import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { Pod } from "../../kube/index.ts";
import { newest, viewOf } from "../pods/pod-view.ts";
import type { PodStore } from "../pods/pod-store.ts";
import type { ContainerRecord, Runtime } from "../runtime/runtime.ts";
import { RequestError } from "./log-query.ts";

/** Requests that turn a connection into streams: `/exec`, `/attach` and `/portForward`. */
export interface StreamedRequests {
  isFor(url: URL): boolean;
  /** Takes the connection over. Throws `RequestError` or `Refusal` while it is still HTTP's. */
  serve(url: URL, request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void>;
}

const names: ReadonlySet<string> = new Set(["exec", "attach", "portForward"]);

export function createStreamedRequests({
  pods,
  runtime,
}: {
  readonly pods: PodStore;
  readonly runtime: Runtime;
}): StreamedRequests {
  const podOf = (namespace: string, name: string, uid: string | undefined): Pod => {
    const pod = pods.all().find(({ metadata }) => metadata.namespace === namespace && metadata.name === name);
    if (!pod || (uid !== undefined && pod.metadata.uid !== uid)) throw new RequestError(404, "pod does not exist");
    return pods.get(pod.metadata.uid ?? "") ?? pod;
  };

  const runningContainer = async (pod: Pod, container: string): Promise<ContainerRecord> => {
    const record = newest(viewOf(await runtime.list(pod.metadata.uid ?? "")), container);
    if (record?.state !== "running") throw new RequestError(500, `container not found (${JSON.stringify(container)})`);
    return record;
  };

  return {
    isFor: (url) => names.has(url.pathname.split("/")[1] ?? ""),
    async serve(url, request, socket, head) {
      // Read when the first one asks: most nodes never do.
      const { commandStreams, serveRemoteCommand, servePortForward } = await import("../streaming/index.ts");
      const [, kind, namespace = "", name = "", ...rest] = url.pathname.split("/").map(decodeURIComponent);
      const query = url.searchParams;
      if (kind === "portForward") {
        if (rest.length > 1) throw new RequestError(404, "404 page not found");
        const pod = podOf(namespace, name, rest[0]);
        const { uid = "" } = pod.metadata;
        const connect = async (port: number): Promise<Duplex> => {
          const { sandbox } = viewOf(await runtime.list(uid));
          if (!sandbox) throw new Error("the pod does not run");
          return runtime.portForward(sandbox.id, port);
        };
        return servePortForward(request, socket, head, query, { pod: name, uid, connect });
      }
      const container = rest.at(-1);
      if (container === undefined || rest.length > 2) throw new RequestError(404, "404 page not found");
      const pod = podOf(namespace, name, rest.length === 2 ? rest[0] : undefined);
      const wanted = commandStreams(query);
      const { id } = await runningContainer(pod, container);
      if (kind === "attach")
        return serveRemoteCommand(request, socket, head, wanted, () => runtime.attach(id, { stdin: wanted.stdin }));
      const command = query.getAll("command");
      if (command.length === 0) throw new RequestError(400, "you must specify at least 1 command for the container");
      const { tty, stdin } = wanted;
      return serveRemoteCommand(request, socket, head, wanted, () => runtime.execStreams(id, command, { tty, stdin }));
    },
  };
}
