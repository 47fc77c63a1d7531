import { spawn } from "node:child_process";
import { openSync } from "node:fs";
import { type ClusterDirectory, makeDirectory } from "./directory.ts";
import { CliError } from "./errors.ts";
import type { Message, Narrator } from "./narrator.ts";

/**
 * Runs `fairlead ARGS` in the background, in a session of its own. Passes on what it tells, and settles when it is ready.
 * What it writes to its own outputs goes to the log. Throws the CliError that it failed with.
 */
export async function runDetached(
  directory: ClusterDirectory,
  args: readonly string[],
  narrator: Pick<Narrator, "line" | "done">,
): Promise<void> {
  await makeDirectory(directory);
  const log = openSync(directory.log, "a", 0o600);
  const child = spawn(process.execPath, [process.argv[1] ?? "", ...args], {
    detached: true,
    stdio: ["ignore", log, log, "ipc"],
  });
  await new Promise<void>((resolve, reject) => {
    child.on("message", (message: Message) => {
      if (message.type === "line") narrator.line(message.text);
      else if (message.type === "done") {
        narrator.done(message.text);
        resolve();
      } else reject(new CliError(message.code, message.message, message.remedy));
    });
    child.on("error", reject);
    child.on("exit", (code, signal) => {
      const how = signal ? `was ended by ${signal}` : `ended with ${code}`;
      reject(new CliError("FAILED", `the process in the background ${how}`, `see ${directory.log}`));
    });
  }).finally(() => {
    child.removeAllListeners("exit");
    if (child.connected) child.disconnect();
    child.unref();
  });
}
