import { afterEach, beforeEach, describe, test } from "vitest";
import type { Store } from "../store.ts";
import { readContract } from "./reads.ts";
import { simulate } from "./simulation.ts";
import { embedded, subjectOf, type Subject, type Traits } from "./support.ts";
import { watchContract } from "./watches.ts";
import { writeContract } from "./writes.ts";

/** What every store must do. `open` gives a new, empty store each time; the suite closes it. */
export function storeContract(name: string, open: () => Promise<Store>, traits: Traits = embedded): void {
  describe(`store contract: ${name}`, () => {
    let subject: Subject | undefined;
    beforeEach(async () => {
      subject = subjectOf(await open());
    });
    afterEach(() => current().store.close());
    const current = (): Subject => {
      if (!subject) throw new Error("no store is open");
      return subject;
    };

    writeContract(current, traits);
    readContract(current);
    watchContract(current, traits);
    test.each([1, 2, 3])("behaves as a plain map would: random run %i", (seed) =>
      simulate(current().store, seed, traits),
    );
  });
}
