import { expect, test } from "vitest";
import { createRuleCount } from "./rule-count.ts";

test("rules are counted as iptables-restore takes them", () => {
  const count = createRuleCount();
  count.note(
    "*nat\n:A - [0:0]\n:B - [0:0]\n-A A -j B\n-A A -j RETURN\n-A B -j DNAT\nCOMMIT\n*filter\n-A F -j DROP\nCOMMIT\n",
  );
  expect(count).toMatchObject({ total: { nat: 3, filter: 1 }, last: { nat: 3, filter: 1 } });
  // A chain that is declared again begins empty; a rule goes, and one comes at the head.
  count.note("*nat\n:A - [0:0]\n-D B -j DNAT\n-I B -j ACCEPT\n-A A -j B\nCOMMIT\n");
  expect(count).toMatchObject({ total: { nat: 2, filter: 1 }, last: { nat: 2, filter: 1 } });
  count.note("*nat\n:A - [0:0]\n:B - [0:0]\n-X A\n-X B\nCOMMIT\n");
  expect(count.total).toEqual({ nat: 0, filter: 1 });
});
