import { type CommandRunner, runOrThrow } from "../../system/index.ts";

/** `proto` of our routes, so that they are told from everyone else's. */
const protocol = "143";

/**
 * Makes every address of these CIDRs this machine's own, so that the userspace proxy can listen on them; none of them for an
 * empty list. Only where pods have networks of their own: loopback is the machine's anyway. Throws `CommandError`.
 */
export async function ownRanges(commands: CommandRunner, cidrs: readonly string[]): Promise<void> {
  // Fails when there is nothing to remove.
  await commands.run("ip", ["route", "flush", "table", "local", "proto", protocol]);
  for (const cidr of cidrs) {
    await runOrThrow(commands, "ip", [
      "route",
      "replace",
      "local",
      cidr,
      "dev",
      "lo",
      "table",
      "local",
      "proto",
      protocol,
    ]);
  }
}
