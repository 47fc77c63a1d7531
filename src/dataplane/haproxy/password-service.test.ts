import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type PasswordService, servePasswords } from "./password-service.ts";

let folder = "";
let service: PasswordService;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fairlead-passwords-"));
  service = await servePasswords(join(folder, "socket"));
});

afterAll(async () => {
  await service.close();
  await rm(folder, { recursive: true });
});

/** What is said to it, and what it answers until it ends the connection. */
function ask(text: string): Promise<string> {
  return new Promise((resolve) => {
    let answer = "";
    const socket = connect(join(folder, "socket"), () => socket.write(text));
    socket.on("data", (chunk) => (answer += String(chunk)));
    socket.on("error", () => {});
    socket.on("close", () => resolve(answer));
  });
}

const question = (entry: string, password: string): string =>
  `${Buffer.from(entry).toString("base64")} ${Buffer.from(password).toString("base64")}\n`;

// Of `secret`, as htpasswd and mkpasswd write them.
const entries = [
  "$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a",
  "$6$rounds=1000$saltsalt$LAV5VE5Y7w1d73x1mFNspYWUpazfmwv2SoepNXNKJ/otop/Zok96Hr8Q13LEv0DRY/x8v0/crpIjl8NJSAqXV/",
  "abNANd1rDfiNc",
];

test.each(entries)("%s has one password", async (entry) => {
  expect(await ask(question(entry, "secret"))).toBe("1\n");
  expect(await ask(question(entry, "Secret"))).toBe("0\n");
  expect(await ask(question(entry, ""))).toBe("0\n");
  // To C it would end at the first NUL.
  expect(await ask(question(entry, "secret\0more"))).toBe("0\n");
});

test("a cost without end is nobody's password", async () => {
  const [bcrypt = ""] = entries;
  expect(await ask(question(bcrypt.replace("$05$", "$31$"), "secret"))).toBe("0\n");
});

test("what is no question has no answer, and harms no other", async () => {
  for (const text of ["\n", "one\n", "a b c\n", `${question("abNANd1rDfiNc", "secret")}more\n`, "x".repeat(5000)])
    expect(await ask(text)).toBe("");
  expect(await ask(question("abNANd1rDfiNc", "secret"))).toBe("1\n");
});
