import { expect, test } from "vitest";
import type { Nft } from "./nft.ts";
import { removeNftablesProgram } from "./program.ts";

function recording(refuses: (script: string) => boolean = () => false): { nft: Nft; scripts: string[] } {
  const scripts: string[] = [];
  const nft: Nft = {
    async run(script) {
      scripts.push(script);
      if (refuses(script)) throw new Error("No such file or directory");
    },
    check: () => Promise.resolve(true),
    lookEvery: 1000,
    close() {},
  };
  return { nft, scripts };
}

test("no packet is led into the program any more before it goes, each in a transaction of its own", async () => {
  const { nft, scripts } = recording();
  await removeNftablesProgram(nft);
  expect(scripts).toEqual(
    ["ip", "ip6"].flatMap((family) => [
      `flush chain ${family} fairlead nat-prerouting\nflush chain ${family} fairlead nat-output\n`,
      `add table ${family} fairlead\ndelete table ${family} fairlead\n`,
    ]),
  );
});

test("where there is no table, or a kernel without IPv6, it does nothing", async () => {
  const { nft } = recording((script) => script.startsWith("flush") || script.includes("ip6"));
  await expect(removeNftablesProgram(nft)).resolves.toBeUndefined();
});

test("a table that cannot be removed is an error", async () => {
  const { nft } = recording((script) => script.startsWith("add table ip fairlead"));
  await expect(removeNftablesProgram(nft)).rejects.toThrow("No such file");
});
