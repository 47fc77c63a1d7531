import { expect, test } from "vitest";
import { usersOf } from "../users.ts";
import { passwordFits, rememberingPasswords } from "./passwords.ts";
import { createSystemCrypt } from "./system-crypt.ts";

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

test.each([
  // The same by Python's crypt: DES, SHA-256, SHA-512, bcrypt.
  ["secret", "abNANd1rDfiNc"],
  ["secret", "$5$saltsalt$0IyaXrmV7.sGNS6tirgqHLqX/G.FBvgkYA.lpPdS5sA"],
  [
    "secret",
    "$6$rounds=1000$saltsalt$LAV5VE5Y7w1d73x1mFNspYWUpazfmwv2SoepNXNKJ/otop/Zok96Hr8Q13LEv0DRY/x8v0/crpIjl8NJSAqXV/",
  ],
  ["secret", "$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a"],
])("%s fits %s by crypt(3), and another one does not", async (password, entry) => {
  const check = rememberingPasswords(createSystemCrypt());
  expect(passwordFits(password, entry)).toBeUndefined();
  expect(await check(`x${password}`, entry)).toBe(false);
  expect(await check(`${password}\0`, entry)).toBe(false);
  expect(await check(password, entry)).toBe(true);
  // What was right once is known at once.
  expect(check(password, entry)).toBe(true);
});

test("work that would never end is not begun", () => {
  const rest = "a".repeat(53);
  for (const entry of [`$2y$31$${rest}`, `$6$rounds=999999999$salt$${rest}`, `$7$${rest}`, `$y$${rest}`])
    expect(passwordFits("x", entry)).toBe(false);
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
