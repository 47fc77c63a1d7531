import { chmod, chown, rm } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { type PasswordCheck, rememberingPasswords } from "../embedded/passwords.ts";
import { createSystemCrypt } from "../embedded/system-crypt.ts";
import type { SystemUser } from "./directory.ts";

/** Questions at the same time; each has a connection. */
const mostQuestions = 160;
/** Bytes of a question. */
const longest = 4096;
/** Milliseconds for a question to come, and for its answer to be taken. */
const patience = 5_000;

export interface PasswordService {
  /** Ends it with all questions that are under way: nobody is let in by them. */
  close(): Promise<void>;
}

/**
 * Tells HAProxy's program what only crypt(3) knows, since it has none: on a Unix socket `path` that `user` alone may open. A question is a
 * line `ENTRY PASSWORD`, both in base64; the answer is `1` for the password of that entry, else `0`. Whatever is no question gets no answer.
 */
export async function servePasswords(
  path: string,
  user?: SystemUser,
  fits: PasswordCheck = rememberingPasswords(createSystemCrypt()),
): Promise<PasswordService> {
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    socket.once("close", () => open.delete(socket));
    // Whoever goes away has no question any more.
    socket.on("error", () => {});
    answer(socket, fits);
  });
  server.maxConnections = mostQuestions;
  await rm(path, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, resolve);
  });
  await chmod(path, 0o600);
  if (user) await chown(path, user.uid, user.gid);
  return {
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}

function answer(socket: Socket, fits: PasswordCheck): void {
  let text = "";
  socket.setTimeout(patience, () => socket.destroy());
  socket.setEncoding("latin1");
  socket.on("data", (chunk: string) => {
    text += chunk;
    if (text.length > longest) socket.destroy();
    if (socket.destroyed || !text.includes("\n")) return;
    const [, entry, password] = /^([\w+/]+=*) ([\w+/]*=*)\n$/.exec(text) ?? [];
    if (entry === undefined || password === undefined) {
      socket.destroy();
      return;
    }
    text = "";
    // The question has come: how long the answer takes is not the asker's doing.
    socket.setTimeout(0);
    const [secret, hash] = [password, entry].map((each) => Buffer.from(each, "base64").toString("utf8"));
    void Promise.resolve(fits(secret ?? "", hash ?? "")).then((right) => {
      socket.setTimeout(patience, () => socket.destroy());
      socket.end(right ? "1\n" : "0\n");
    });
  });
}
