import { chmod, chown, mkdir, rm } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import type { Logger } from "../../system/index.ts";
import type { Finished } from "../finished.ts";
import type { SystemUser } from "../haproxy/directory.ts";
import { createLines, type ModelIndex } from "../reports.ts";
import { readTraceparent } from "../tracing/trace-context.ts";

const separator = "\u001f";

/** Fields of a line, as `lua/fairlead/report.lua` writes them; listener and route follow from the route's id. */
const names = [
  "id",
  "client",
  "method",
  "host",
  "target",
  "protocol",
  "code",
  "bytes",
  "seconds",
  "route",
  "pool",
  "endpoints",
  "user-agent",
  "referer",
  "traceparent",
] as const;

/** And where requests are traced. */
const tracedNames = [...names, "tracestate", "sent", "parent", "scheme", "ended"] as const;

/** What a line says; a number for so many requests that were not told of. */
export function readReport(line: string, index: Pick<ModelIndex, "anyRoute" | "pool">): Finished | number | undefined {
  const values = line.split(separator);
  if (values.length === 2 && values[0] === "lost") return Number(values[1]) || 0;
  if (values.length !== names.length && values.length !== tracedNames.length) return undefined;
  const said = new Map<string, string>(tracedNames.map((name, at) => [name, values[at] ?? ""]));
  const text = (name: (typeof tracedNames)[number]): string => said.get(name) ?? "";
  const parentId = text("parent");
  // Of a request that could not be read at all nothing is known, and one that is not traced has a dash.
  const sent = parentId === "-" ? undefined : readTraceparent(text("sent"));
  const route = text("route") === "" ? undefined : index.anyRoute(text("route"));
  const pool = text("pool") === "" ? undefined : index.pool(text("pool"));
  // Those that were tried, in turn; further ones after a redirect inside.
  const endpoint = text("endpoints")
    .split(/, | : /)
    .findLast((each) => /:\d+$/.test(each));
  return {
    id: text("id"),
    client: text("client"),
    method: text("method"),
    host: text("host"),
    target: text("target"),
    protocol: text("protocol"),
    header: (name) => said.get(name) || undefined,
    ...(route ? { route } : {}),
    ...(pool ? { pool } : {}),
    ...(endpoint === undefined ? {} : { endpoint }),
    // 000 where nothing was answered at all.
    code: Number(text("code")) || 499,
    bytes: Number(text("bytes")) || 0,
    milliseconds: (Number(text("seconds")) || 0) * 1000,
    ...(sent
      ? {
          trace: {
            ...sent,
            ...(parentId === "" ? {} : { parentId }),
            scheme: text("scheme"),
            ended: (Number(text("ended")) || 0) * 1000,
          },
        }
      : {}),
  };
}

/** Listens in a folder that the workers' user may enter, and no other. Lines come from workers, a bunch at a time. */
export async function listenForReports(
  folder: string,
  user: SystemUser | undefined,
  each: (line: string) => void,
  log: Logger,
): Promise<{ close(): Promise<void> }> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  if (user) await chown(folder, user.uid, user.gid);
  const path = `${folder}/nginx.sock`;
  await rm(path, { force: true });
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    socket.on("data", createLines(each));
    socket.on("error", () => socket.destroy());
    socket.once("close", () => open.delete(socket));
  });
  server.on("error", (error) => log.warn({ err: error }, "nginx cannot tell of requests"));
  await new Promise<void>((resolve) => server.listen(path, resolve));
  await chmod(path, 0o600);
  if (user) await chown(path, user.uid, user.gid);
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of open) socket.destroy();
      }),
  };
}
