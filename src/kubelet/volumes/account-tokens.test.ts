import { expect, test } from "vitest";
import { createFakeClient } from "../../client/index.ts";
import { type Pod, resources, statusError } from "../../kube/index.ts";
import { FakeClock } from "../../system/index.ts";
import { createAccountTokens } from "./account-tokens.ts";

const pod: Pod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "p", namespace: "d", uid: "u" },
  spec: { serviceAccountName: "robot", containers: [] },
};
const source = { path: "token", expirationSeconds: 3600 };

function setUp() {
  const clock = new FakeClock();
  const client = createFakeClient({ clock });
  client.put(resources.ServiceAccount, { metadata: { namespace: "d", name: "robot" } });
  return { clock, client, tokens: createAccountTokens(client, clock) };
}

test("a token is bound to its pod, kept, and renewed after four fifths of its life", async () => {
  const { clock, client, tokens } = setUp();
  expect(await tokens.token(pod, source)).toBe("token-1-of-robot");
  expect(client.writes[0]?.body).toMatchObject({
    spec: { audiences: [], expirationSeconds: 3600, boundObjectRef: { kind: "Pod", name: "p", uid: "u" } },
  });
  await clock.advance(2_000_000);
  expect(await tokens.token(pod, source)).toBe("token-1-of-robot");
  expect(tokens.dueIn("u")).toBe(880_000);
  await clock.advance(880_000);
  expect(await tokens.token(pod, source)).toBe("token-2-of-robot");
  tokens.release("u");
  expect(tokens.dueIn("u")).toBeUndefined();
});

test("each audience has a token of its own", async () => {
  const { tokens } = setUp();
  expect(await tokens.token(pod, source)).toBe("token-1-of-robot");
  expect(await tokens.token(pod, { ...source, audience: "vault" })).toBe("token-2-of-robot");
  expect(await tokens.token(pod, source)).toBe("token-1-of-robot");
});

test("a renewal that fails leaves the old token as long as it is good", async () => {
  const { clock, client, tokens } = setUp();
  await tokens.token(pod, source);
  client.intercept = () => {
    throw statusError("ServiceUnavailable", "away");
  };
  await clock.advance(3_000_000);
  expect(await tokens.token(pod, source)).toBe("token-1-of-robot");
  expect(tokens.dueIn("u")).toBe(10_000);
  await clock.advance(700_000);
  await expect(tokens.token(pod, source)).rejects.toThrow("failed to fetch token: away");
});
