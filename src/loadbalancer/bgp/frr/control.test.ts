import { createServer } from "node:net";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { askFrr, askFrrJson, FrrError } from "./control.ts";

/** Asks a socket that answers like a daemon of FRR, in pieces of so many bytes. */
async function ask<T>(answer: string, size: number, question: (path: string) => Promise<T>): Promise<T> {
  const dir = await mkdtemp(join(tmpdir(), "fairlead-frr-"));
  const path = join(dir, "vty");
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => {
      for (let at = 0; at < answer.length; at += size) socket.write(answer.slice(at, at + size));
      if (answer.length === 0) socket.end();
    });
  });
  await new Promise<void>((done) => server.listen(path, done));
  try {
    return await question(path);
  } finally {
    server.close();
    await rm(dir, { recursive: true });
  }
}

const good = "\0\0\0\0";
const bad = "\0\0\0\x02";

test.each([1, 3, 1_000])("answers are told apart, in pieces of %d bytes", async (size) => {
  const said = await ask(`${good}one\n${good}% Unknown command\n${bad}`, size, (path) => askFrr(path, ["a", "b", "c"]));
  expect(said).toEqual([
    { text: "", isGood: true },
    { text: "one", isGood: true },
    { text: "% Unknown command", isGood: false },
  ]);
});

test("JSON is read; what is none is an error that says what came", async () => {
  const question = (path: string) => askFrrJson(path, "show bgp vrf all neighbors json");
  expect(await ask(`${good}{"a":\n1}${good}`, 4, question)).toEqual({ a: 1 });
  await expect(ask(`${good}% no such view${bad}`, 100, question)).rejects.toThrow(/no such view/);
});

test("an end without an answer, and no socket at all, are errors", async () => {
  await expect(ask("", 1, (path) => askFrr(path, ["a"]))).rejects.toBeInstanceOf(FrrError);
  await expect(askFrr("/nowhere/vty", ["a"])).rejects.toBeInstanceOf(FrrError);
});
