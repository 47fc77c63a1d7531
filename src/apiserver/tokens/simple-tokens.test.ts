import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { startTestApi, type TestApi } from "../test-api.ts";
import { createStaticTokens } from "./static-tokens.ts";

describe("bootstrap tokens", () => {
  let api: TestApi;
  beforeEach(async () => {
    api = await startTestApi();
  });
  afterEach(() => api.stop());
  const token = "abcdef.0123456789abcdef";
  const put = (more: Record<string, string> = {}, type = "bootstrap.kubernetes.io/token") =>
    api.call("POST", "/api/v1/namespaces/kube-system/secrets", {
      metadata: { name: "bootstrap-token-abcdef" },
      type,
      stringData: {
        "token-id": "abcdef",
        "token-secret": "0123456789abcdef",
        "usage-bootstrap-authentication": "true",
        ...more,
      },
    });
  const who = (given = token) => api.authenticator.authenticate({ authorization: `Bearer ${given}`, rawHeaders: [] });

  it("name a group of nodes that join", async () => {
    await put({ "auth-extra-groups": "system:bootstrappers:worker" });
    expect(await who()).toEqual({
      name: "system:bootstrap:abcdef",
      groups: ["system:bootstrappers", "system:bootstrappers:worker", "system:authenticated"],
    });
    await expect(who("abcdef.0123456789abcdee")).rejects.toThrow("Unauthorized");
  });

  it.each<[string, Record<string, string>, string?]>([
    ["that have ended", { expiration: "1999-01-01T00:00:00Z" }],
    ["whose end is nonsense", { expiration: "soon" }],
    ["for other uses", { "usage-bootstrap-authentication": "false" }],
    ["for other groups", { "auth-extra-groups": "system:masters" }],
    ["in Secrets of another type", {}, "Opaque"],
  ])("%s are refused", async (_what, more, type) => {
    await put(more, type);
    await expect(who()).rejects.toThrow("Unauthorized");
  });
});

describe("static tokens", () => {
  it("name user, uid and groups", async () => {
    const take = createStaticTokens('# comment\nt1,alice,u1,"dev,ops"\n\nt2, bob\n', ["api"]);
    expect(await take("t1", ["api"])).toEqual({
      user: { name: "alice", uid: "u1", groups: ["dev", "ops"] },
      audiences: ["api"],
    });
    expect(await take("t2", ["api"])).toMatchObject({ user: { name: "bob", groups: [] } });
    expect(await take("t3", ["api"])).toBeUndefined();
    expect(await take("t1", ["vault"])).toBeUndefined();
  });

  it.each(["t1", "t1,a,b,c,d,e", ",alice", "t1,a\nt1,b"])("%j is no file of them", (text) => {
    expect(() => createStaticTokens(text, [])).toThrow(/line \d/);
  });
});
