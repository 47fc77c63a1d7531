import { mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { ControlError, type Logger } from "../system/index.ts";
import type { ClusterDirectory } from "./directory.ts";
import { CliError } from "./errors.ts";

/** Where a process has its control socket: for root in `/run`; for any other user among the files of the session. */
export function defaultControlSocket(part: string): string {
  if (process.getuid?.() === 0) return `/run/fairlead/${part}.sock`;
  return join(process.env["XDG_RUNTIME_DIR"] ?? tmpdir(), `fairlead-${part}-${process.getuid?.() ?? ""}.sock`);
}

/** Of the data planes of a cluster that `up` runs. */
export const ingressSocket = (directory: ClusterDirectory): string => join(directory.root, "ingress.sock");

/** Makes the folder of a control socket. Only its owner may enter: whoever can write to the socket commands the process. */
export async function makeSocketFolder(path: string, log: Logger): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 }).catch((error: unknown) =>
    log.warn({ path, error: String(error) }, "the folder of the control socket cannot be made"),
  );
}

/** What a running process answers on its control socket. Throws `CliError` when it refuses, and when there is none. */
export async function throughSocket<T>(what: string, path: string, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (!(error instanceof ControlError)) throw error;
    if (error.reached) throw new CliError("REFUSED", error.message, `see the ${what}'s log`, { cause: error });
    const remedy = "is it running, and are you the user who runs it?";
    throw new CliError("NOT_RUNNING", `no ${what} answers at ${path}: ${error.message}`, remedy, { cause: error });
  }
}
