import type { CommandRunner } from "../system/index.ts";
import { childNft, removeNftablesProgram, whyNoNft } from "./nftables/index.ts";

/** Takes out of the kernel what the proxy put there. Returns false when there was no way to do so (no root or no nft). */
export async function removeProxy(commands: CommandRunner): Promise<boolean> {
  if ((await whyNoNft(commands)) !== undefined) return false;
  await removeNftablesProgram(childNft(commands));
  return true;
}
