import { describe, expect, it } from "vitest";
import { userFromSubject } from "./identity.ts";

describe("the subject of a client certificate", () => {
  it("names user and groups", () => {
    expect(userFromSubject({ CN: "bob", O: "dev" })).toEqual({ name: "bob", groups: ["dev", "system:authenticated"] });
    expect(userFromSubject({ CN: "bob", O: ["a", "b", "a"] }).groups).toEqual(["a", "b", "system:authenticated"]);
    expect(userFromSubject({ CN: "bob" }).groups).toEqual(["system:authenticated"]);
  });

  it("is not valid without a user", () => {
    expect(() => userFromSubject({ O: "system:masters" })).toThrow("Unauthorized");
  });
});
