import { connect, type Socket } from "node:net";
import type { Command } from "./command.ts";

/** HAProxy said no to a command. */
export class CommandRefused extends Error {
  readonly code = "COMMAND_REFUSED";
}

/** HAProxy's runtime API: one command after the other. */
export interface Runtime {
  /** Answers what HAProxy says. Throws when the connection is lost. */
  run(command: Command): Promise<string>;
  close(): void;
}

/** Bytes of a command with its payload that HAProxy takes at once; it silently drops more than a buffer holds. */
export const commandBytes = 12_000;

/** Connects to the socket of a process that has begun to listen there. */
export function connectRuntime(path: string): Promise<Runtime> {
  return new Promise((resolve, reject) => {
    const socket: Socket = connect(path);
    let text = "";
    let waiting: { done: (answer: string) => void; failed: (error: Error) => void } | undefined;
    let last: Promise<unknown> = Promise.resolve();
    let failure: Error | undefined;
    const fail = (error: Error): void => {
      failure = error;
      waiting?.failed(error);
      waiting = undefined;
      socket.destroy();
    };
    socket.setEncoding("latin1");
    socket.on("data", (chunk: string) => {
      text += chunk;
      // In interactive mode each answer ends with a prompt at the begin of a line.
      if (text !== "> " && !text.endsWith("\n> ")) return;
      // Each line of a payload is answered with a plus.
      const answer = text
        .slice(0, -2)
        .replace(/^(?:\+ )+/, "")
        .trim();
      text = "";
      const now = waiting;
      waiting = undefined;
      now?.done(answer);
    });
    socket.once("error", (error) => {
      fail(error);
      reject(error);
    });
    socket.once("close", () => fail(new Error("the runtime connection was closed")));

    const send = (bytes: string): Promise<string> =>
      new Promise((done, failed) => {
        if (failure) return failed(failure);
        waiting = { done, failed };
        socket.write(bytes, "latin1");
      });
    const runtime: Runtime = {
      run({ line, payload }) {
        const bytes = payload ? `${line} <<\n${payload.join("\n")}\n\n` : `${line}\n`;
        if (bytes.length > 15_000) return Promise.reject(new CommandRefused(`${line.slice(0, 60)}: too long`));
        const next = last.then(() => send(bytes));
        last = next.catch(() => {});
        return next;
      },
      close: () => socket.destroy(),
    };
    socket.once("connect", () => {
      last = send("prompt\n").then(() => resolve(runtime), reject);
    });
  });
}

/** Runs a command that answers nothing, or one of `good`, when it is done. */
export async function runQuietly(runtime: Runtime, command: Command, ...good: readonly RegExp[]): Promise<void> {
  const answer = await runtime.run(command);
  if (answer !== "" && !good.some((each) => each.test(answer)))
    throw new CommandRefused(`${command.line.slice(0, 80)}: ${answer.slice(0, 200)}`);
}
