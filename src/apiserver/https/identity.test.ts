import { describe, expect, it } from "vitest";
import { userFromSubject } from "./identity.ts";

describe("the subject of a client certificate", () => {
  it("names user and groups", () => {
    expect(userFromSubject({ CN: "bob", O: "dev" })).toEqual({ name: "bob", groups: ["dev", "system:authenticated"] });
    expect(userFromSubject({ CN: "bob", O: ["a", "b", "a"] })?.groups).toEqual(["a", "b", "system:authenticated"]);
    expect(userFromSubject({ CN: "bob" })?.groups).toEqual(["system:authenticated"]);
  });

  it("may name a uid, and is known by its fingerprint", () => {
    expect(userFromSubject({ CN: "bob", "1.3.6.1.4.1.57683.2": "u-1" }, "AB:CD")).toEqual({
      name: "bob",
      uid: "u-1",
      groups: ["system:authenticated"],
      extra: { "authentication.kubernetes.io/credential-id": ["X509SHA256=abcd"] },
    });
  });

  it("is not valid without a user, or with two uids", () => {
    expect(userFromSubject({ O: "system:masters" })).toBeUndefined();
    expect(userFromSubject({ CN: "bob", "1.3.6.1.4.1.57683.2": ["a", "b"] })).toBeUndefined();
  });
});
