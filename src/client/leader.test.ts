import { expect, test } from "vitest";
import { resources } from "../kube/index.ts";
import { FakeClock, silentLogger } from "../system/index.ts";
import { createFakeClient } from "./fake.ts";
import { startLeaderElection } from "./leader.ts";

const lease = { namespace: "kube-system", name: "l" };

function candidate(client: ReturnType<typeof createFakeClient>, clock: FakeClock, identity: string, log: string[]) {
  const stop = new AbortController();
  const part = startLeaderElection({
    client,
    clock,
    log: silentLogger,
    signal: stop.signal,
    lease,
    identity,
    lead: async (signal) => {
      log.push(`${identity} leads`);
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      log.push(`${identity} ends`);
    },
  });
  return { stop, part };
}

test("one leads; when it stops, the next takes over at once", async () => {
  const [clock, client, log] = [new FakeClock(), createFakeClient(), [] as string[]];
  const one = candidate(client, clock, "one", log);
  await one.part.ready;
  const two = candidate(client, clock, "two", log);
  for (let i = 0; i < 30; i++) await clock.advance(1000);
  expect(log).toEqual(["one leads"]);
  one.stop.abort();
  await one.part.stopped;
  for (let i = 0; i < 5; i++) await clock.advance(1000);
  expect(log).toEqual(["one leads", "one ends", "two leads"]);
  expect((await client.get(resources.Lease, lease)).spec).toMatchObject({ holderIdentity: "two", leaseTransitions: 1 });
  two.stop.abort();
  await two.part.stopped;
});

test("a leader that can't renew ends before another may begin", async () => {
  const [clock, client, log] = [new FakeClock(), createFakeClient(), [] as string[]];
  const one = candidate(client, clock, "one", log);
  await one.part.ready;
  const two = candidate(client, clock, "two", log);
  await clock.advance(3000);
  // Only the first is cut off.
  client.intercept = ({ body, verb, key }) => {
    const holder = (body as { spec?: { holderIdentity?: string } } | undefined)?.spec?.holderIdentity;
    if (verb === "update" && key.endsWith("/l") && holder === "one") throw new Error("cut off");
  };
  for (let i = 0; i < 30; i++) await clock.advance(1000);
  expect(log).toEqual(["one leads", "one ends", "two leads"]);
  one.stop.abort();
  two.stop.abort();
  await Promise.all([one.part.stopped, two.part.stopped]);
});
