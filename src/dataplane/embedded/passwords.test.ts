import { expect, test } from "vitest";
import { usersOf } from "../users.ts";
import { passwordFits } from "./passwords.ts";

test.each([
  // openssl passwd -apr1 -salt r31.... myPassword; the example of Apache's documentation.
  ["myPassword", "$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/"],
  ["myPassword", "{SHA}VBPuJHI7uixaa6LQGWx4s+5GKNE="],
  ["secret", "{PLAIN}secret"],
])("%s fits %s, and another one does not", (password, entry) => {
  expect(passwordFits(password, entry)).toBe(true);
  expect(passwordFits(`${password}x`, entry)).toBe(false);
  expect(passwordFits("", entry)).toBe(false);
});

test("what is not known as a hash lets nobody in", () => {
  for (const entry of ["", "plain", "$2y$05$abc", "{SSHA}", "$apr1$"]) expect(passwordFits(entry, entry)).toBe(false);
});

test("users of a file and of keys", () => {
  const base64 = (text: string) => Buffer.from(text).toString("base64");
  expect([...usersOf({ auth: base64("# a comment\nann:{PLAIN}x\n\nbob:{PLAIN}y:z\n") }, "file")]).toEqual([
    ["ann", "{PLAIN}x"],
    ["bob", "{PLAIN}y:z"],
  ]);
  expect([...usersOf({ ann: base64("{PLAIN}x\n") }, "map")]).toEqual([["ann", "{PLAIN}x"]]);
});
