import { readFileSync, writeFileSync } from "node:fs";
import { type CommandRunner, runOrThrow } from "../../system/index.ts";

/** `proto` of our routes, so that they are told from everyone else's. */
const protocol = "143";
/** The same, while `ip_nonlocal_bind` of IPv6 is on because of them: so whoever takes them back knows, also after a crash. */
const protocolWithBind = "144";

/** IPv6 lets a program listen on an address of such a route only where this is on; IPv4 always does. */
const nonlocalBind = "/proc/sys/net/ipv6/ip_nonlocal_bind";

/**
 * Makes every address of these CIDRs this machine's own, so that the userspace proxy can listen on them; none of them for an
 * empty list. Only where pods have networks of their own: loopback is the machine's anyway. Throws `CommandError`.
 */
export async function ownRanges(commands: CommandRunner, cidrs: readonly string[]): Promise<void> {
  const hasIpv6 = cidrs.some((cidr) => cidr.includes(":"));
  const wasOurs = await removeAll(commands);
  if (wasOurs && !hasIpv6) writeFileSync(nonlocalBind, "0");
  const isOurs = hasIpv6 && (wasOurs || readFileSync(nonlocalBind, "utf8").trim() === "0");
  if (isOurs) writeFileSync(nonlocalBind, "1");
  for (const cidr of cidrs) {
    const proto = isOurs && cidr.includes(":") ? protocolWithBind : protocol;
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
      proto,
    ]);
  }
}

/** Answers whether IPv6 was told to bind to what is not its own because of them. */
async function removeAll(commands: CommandRunner): Promise<boolean> {
  const table = ["table", "local", "proto"];
  // A kernel without IPv6 shows an error, and has none. So does a flush of nothing.
  const { stdout } = await commands.run("ip", ["-6", "route", "show", ...table, protocolWithBind]);
  await commands.run("ip", ["route", "flush", ...table, protocol]);
  await commands.run("ip", ["-6", "route", "flush", ...table, protocol]);
  if (stdout.trim() === "") return false;
  await commands.run("ip", ["-6", "route", "flush", ...table, protocolWithBind]);
  return true;
}
