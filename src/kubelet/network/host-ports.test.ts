import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { CommandRunner } from "../../system/index.ts";
import { createHostPorts } from "./host-ports.ts";

let dir: string;
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), "host-ports-"))));
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** Keeps what nft is given, in the order in which it is done: the first is slower than the others. */
function fakeNft() {
  const done: string[] = [];
  let first = true;
  const commands: CommandRunner = {
    async run(_file, _args, options) {
      const turns = first ? 20 : 1;
      first = false;
      for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
      done.push(String(options?.input));
      return { code: 0, stdout: "", stderr: "" };
    },
  };
  return {
    done,
    open: () => createHostPorts({ file: join(dir, "host-ports.json"), commands, routeLoopback: () => {} }),
  };
}

const port = (hostPort: number) => [{ protocol: "TCP" as const, hostPort, containerPort: 8080 }];

test("two pods that come at once are both there, and so after a restart", async () => {
  const { done, open } = fakeNft();
  const ports = open();
  await Promise.all([ports.open("a", ["10.42.0.2"], port(80)), ports.open("b", ["10.42.0.3"], port(81))]);
  const both = ["tcp . 80 : 10.42.0.2 . 8080", "tcp . 81 : 10.42.0.3 . 8080"];
  // The program was written before whatever else, and nothing after it takes a row away.
  expect(done.map((input) => input.includes("delete table"))).toEqual([true, false]);
  for (const row of both) expect(done.join("")).toContain(row);
  await open().setUp();
  for (const row of both) expect(done.at(-1)).toContain(row);
});

test("a port that another pod has is refused by its name, and free when that one has gone", async () => {
  const ports = fakeNft().open();
  await ports.open("a", ["10.42.0.2"], port(80));
  await expect(ports.open("b", ["10.42.0.3"], port(80))).rejects.toThrow("host port 80/TCP leads to pod 10.42.0.2");
  await ports.close("a");
  await ports.open("b", ["10.42.0.3"], port(80));
});
