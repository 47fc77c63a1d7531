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
  await removeNftablesProgram(childNft(commands));
  return true;
}
