import type { CommandRunner } from "../system/index.ts";
import type { ProxyMode } from "./backend.ts";
import { removeIptablesProgram } from "./iptables/index.ts";
import { childNft, removeNftablesProgram, whyNoNft } from "./nftables/index.ts";

/**
 * Takes out of the kernel what the proxy put there, in any mode `but` this one.
 * Returns false when there was no way to do so (no root or no nft).
 */
export async function removeProxy(commands: CommandRunner, { but }: { but?: ProxyMode } = {}): Promise<boolean> {
  if (but !== "iptables") await removeIptablesProgram(commands);
  if (but === "nftables") return true;
  if ((await whyNoNft(commands)) !== undefined) return false;
  if (but === undefined) await stopTranslating(commands);
  await removeNftablesProgram(childNft(commands));
  return true;
}

/** Takes out of the kernel what one mode put there. */
export async function removeMode(commands: CommandRunner, mode: ProxyMode): Promise<void> {
  if (mode === "iptables") await removeIptablesProgram(commands);
  if (mode === "nftables") await removeNftablesProgram(childNft(commands));
}

/** Nothing but the kernel's own hooks; a rule that asks for the state of a connection makes it follow connections. */
const keeping = "inet fairlead_kept";
const hooks = (["prerouting", "input", "output", "postrouting"] as const)
  .map((hook) => `chain ${hook} { type nat hook ${hook} priority 0; ct state new accept; }`)
  .join("\n");

/**
 * Keeps connections going that the kernel translates while no mode has rules in it: with the last rule of that kind, which somebody else may
 * flush, the kernel stops to translate packets of connections that exist, and both ends reset them. It also makes the kernel follow
 * connections. Does nothing where there is no nft: then they were made by iptables, whose hooks stay.
 */
export async function keepTranslating(commands: CommandRunner): Promise<void> {
  const script = `add table ${keeping}\ndelete table ${keeping}\ntable ${keeping} {\n${hooks}\n}\n`;
  const result = await commands.run("nft", ["-f", "-"], { input: script }).catch(() => undefined);
  // To look at the table nat is enough for iptables to hook it in.
  if (result?.code !== 0) await commands.run("iptables", ["-w", "5", "-t", "nat", "-S", "POSTROUTING"]).catch(() => {});
}

/** Nothing needs to be kept. */
async function stopTranslating(commands: CommandRunner): Promise<void> {
  const input = `add table ${keeping}\ndelete table ${keeping}\n`;
  await commands.run("nft", ["-f", "-"], { input }).catch(() => undefined);
}
