import { expect, test } from "vitest";
import type { Library } from "./library.ts";
import { type Nft, NftError, withLibrary } from "./nft.ts";

function parts({ libraryRefuses = false, childRefuses = false } = {}) {
  const ran: string[] = [];
  const library: Library = {
    run(script) {
      ran.push(`library ${script.slice(0, 10)}`);
      return libraryRefuses ? "Error: Can't parse symbolic invalid expressions" : undefined;
    },
    close() {},
  };
  const child: Nft = {
    async run(script) {
      ran.push(`child ${script.slice(0, 10)}`);
      if (childRefuses) throw new NftError("Error: No such file or directory");
    },
    check: () => Promise.resolve(true),
    lookEvery: 1,
    close() {},
  };
  return { ran, nft: withLibrary(library, child) };
}

test("small scripts go through the library, large ones through a child", async () => {
  const { ran, nft } = parts();
  await nft.run("add x");
  await nft.run("large".padEnd(1 << 20));
  expect(ran).toEqual(["library add x", "child large     "]);
});

test("what the library refuses is tried by a child, whose word is the last", async () => {
  const disturbed = parts({ libraryRefuses: true });
  await disturbed.nft.run("delete y");
  expect(disturbed.ran).toEqual(["library delete y", "child delete y"]);
  const wrong = parts({ libraryRefuses: true, childRefuses: true });
  await expect(wrong.nft.run("delete z")).rejects.toThrow("nft: Error: No such file or directory");
});
