import { expect, test } from "vitest";
import { createFakeClient } from "../client/index.ts";
import { resources } from "../kube/index.ts";
import { FakeClock } from "../system/index.ts";
import { rememberWrites } from "./own-writes.ts";

test("a cached object is behind until it shows what was written, or too long", async () => {
  const clock = new FakeClock();
  const fake = createFakeClient();
  const old = await fake.create(resources.ConfigMap, { metadata: { namespace: "a", name: "m" } });
  const writes = rememberWrites(fake, [resources.ConfigMap], clock);
  const { client } = writes;
  expect(writes.isBehind(old)).toBe(false);
  const next = await client.patch(
    resources.ConfigMap,
    { namespace: "a", name: "m" },
    { type: "merge", body: { data: { k: "1" } } },
  );
  expect(writes.isBehind(old)).toBe(true);
  expect(writes.isBehind(next)).toBe(false);

  await client.update(resources.ConfigMap, { ...next, data: { k: "2" } });
  expect(writes.isBehind(next)).toBe(true);
  await clock.advance(31_000);
  expect(writes.isBehind(next)).toBe(false);
});
