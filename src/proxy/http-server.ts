import { createServer } from "node:http";
import type { Server } from "./userspace/target.ts";

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Connections at a time on one port. */
const mostConnections = 64;

/** Opens a small HTTP server of the node. `ask` is given the path and the query. Rejects with the system's error. */
export function openHttpServer(
  where: { readonly address: string; readonly port: number },
  ask: (path: string, query: URLSearchParams) => Answer | Promise<Answer>,
): Promise<Server> {
  const answer = async (path: string, query: string): Promise<Answer> => {
    try {
      return await ask(path, new URLSearchParams(query));
    } catch (error) {
      return { status: 500, headers: { "content-type": "text/plain; charset=utf-8" }, body: `${String(error)}\n` };
    }
  };
  return new Promise((resolve, reject) => {
    const server = createServer((request, response) => {
      const [path = "/", query = ""] = request.url?.split("?", 2) ?? [];
      void answer(path, query).then(({ status, headers, body }) => {
        response.writeHead(status, { "x-content-type-options": "nosniff", ...headers });
        response.end(request.method === "HEAD" ? undefined : body);
      });
    });
    server.maxConnections = mostConnections;
    server.once("error", reject);
    server.listen(where.port, where.address, () => {
      resolve({ refresh() {}, close: () => server.close().closeAllConnections() });
    });
  });
}
