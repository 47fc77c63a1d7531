import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { repository } from "../../support/lab.ts";
import { defects } from "./defects.ts";

// The tests themselves run where they are: this holds the list to them, so that none is renamed or removed unseen.
describe.each(Object.entries(defects))("defects of %s that are gone", (_, list) => {
  test.each(list.map(({ defect, gone }) => [defect, gone] as const))("%s", async (_defect, gone) => {
    expect(gone.length).toBeGreaterThan(0);
    for (const one of gone) {
      const [, file = "", title = ""] = /^(\S+\.test\.ts): (.+)$/.exec(one) ?? [];
      const text = await readFile(join(repository, file), "utf8");
      expect(text, one).toContain(`"${title}"`);
    }
  });
});
