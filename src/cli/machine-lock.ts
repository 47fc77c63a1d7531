import { createServer } from "node:net";
import { CliError, systemCodeOf } from "./errors.ts";

/**
 * Takes the part of this machine's network that a cluster uses as a whole (bridge, nft table, ranges of addresses), so that
 * two clusters never pull at the same rows. The lock is a listening abstract socket: there is one of a name in each network
 * namespace, and the kernel gives it back whatever way the process ends. Throws CliError ALREADY_RUNNING.
 */
export async function takeNetwork(network: "namespaces" | "loopback"): Promise<() => void> {
  const server = createServer((socket) => socket.destroy());
  server.unref();
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => {
      if (systemCodeOf(error) !== "EADDRINUSE") return reject(error);
      const ranges =
        network === "loopback" ? "the loopback ranges 127.42, 127.96 and 127.97" : "this machine's network";
      const remedy = "stop it with `fairlead down --dir ITS-DIRECTORY`";
      reject(new CliError("ALREADY_RUNNING", `another Fairlead cluster uses ${ranges}`, remedy, { cause: error }));
    });
    server.listen(`\0fairlead-${network}`, resolve);
  });
  return () => void server.close();
}
