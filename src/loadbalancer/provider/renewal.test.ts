import { expect, test } from "vitest";
import { FakeClock, silentLogger } from "../../system/index.ts";
import { ProviderFailure, type LoadBalancerProvider } from "./contract.ts";
import { converge } from "./converge.ts";
import { service as desired } from "./every-provider.ts";
import { createFakeCloud } from "./fake-provider.ts";
import { withRenewal } from "./renewal.ts";

const { signal } = new AbortController();

/** A cloud that takes one password, and providers that read it when they are made. */
function lockedCloud() {
  const cloud = createFakeCloud();
  const at = { password: "old", file: "old", made: 0, fails: undefined as Error | undefined };
  const clock = new FakeClock(0);
  const make = (): LoadBalancerProvider => {
    at.made++;
    const mine = at.file;
    const open = cloud.provider();
    const refused = new ProviderFailure("Credentials", "401");
    return {
      ...open,
      observe: (key, abort) => (mine === at.password ? open.observe(key, abort) : Promise.reject(refused)),
      apply: (step, abort) =>
        mine === at.password
          ? open.apply(step, abort)
          : Promise.resolve({ state: "failed", reason: "Credentials", message: "401" }),
    };
  };
  const create = () => (at.fails ? Promise.reject(at.fails) : Promise.resolve(make()));
  return { cloud, at, clock, provider: withRenewal(make(), { create, clock, log: silentLogger }) };
}

test("a password that was changed is read anew within the call that it was refused in, once", async () => {
  const { at, provider, cloud } = lockedCloud();
  expect((await converge(provider, desired, signal)).state).not.toBe("failed");
  expect(at.made).toBe(1);
  [at.password, at.file] = ["new", "new"];
  expect((await converge(provider, desired, signal)).state).not.toBe("failed");
  expect(at.made).toBe(2);
  expect(cloud.balancers.size).toBe(1);
  expect(provider).toMatchObject({ name: "fake", loadBalancerClass: "example.com/fake" });
});

test("a step that is refused is done by the provider made anew", async () => {
  const { at, provider } = lockedCloud();
  const [step] = provider.plan(desired, undefined);
  if (!step) throw new Error("there is nothing to do");
  [at.password, at.file] = ["new", "new"];
  expect(await provider.apply(step, signal)).toMatchObject({ state: "done" });
});

test("a password that stays wrong is looked at again only after a while, and by one of many calls", async () => {
  const { at, clock, provider } = lockedCloud();
  at.password = "new";
  const calls = () => Promise.all(Array.from({ length: 8 }, () => converge(provider, desired, signal)));
  for (const result of await calls()) expect(result).toMatchObject({ state: "failed", reason: "Credentials" });
  expect(at.made).toBe(2);
  await calls();
  expect(at.made).toBe(2);
  at.file = "new";
  await clock.advance(5_000);
  for (const result of await calls()) expect(result.state).not.toBe("failed");
  expect(at.made).toBe(3);
});

test("a file that is not there for a moment is told as the reason, and other failures make nothing anew", async () => {
  const { at, clock, provider } = lockedCloud();
  at.password = "new";
  at.fails = new Error("config.passwordFile: no such file");
  const message = "the configuration cannot be read anew: config.passwordFile: no such file";
  expect(await converge(provider, desired, signal)).toMatchObject({ reason: "Credentials", message });
  [at.file, at.fails] = ["new", undefined];
  await clock.advance(5_000);
  expect((await converge(provider, desired, signal)).state).not.toBe("failed");
  const cut = new AbortController();
  cut.abort(new Error("stopped"));
  await expect(converge(provider, desired, cut.signal)).rejects.toThrow("stopped");
  expect(at.made).toBe(2);
});
