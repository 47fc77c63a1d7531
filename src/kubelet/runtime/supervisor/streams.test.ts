import { existsSync, mkdtempSync, rmSync } from "node:fs";
import type { Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createContainers, type Containers } from "./containers.ts";
import { processStart } from "./process-identity.ts";
import type { HeldContainer, Program } from "./protocol.ts";
import { openRecords, type Records } from "./records.ts";
import { openStreams } from "./stream-client.ts";
import { streamFrame, streamFrameReader } from "./stream-protocol.ts";
import { serveStreams } from "./streams.ts";

let dir: string;
let records: Records<HeldContainer>;
let containers: Containers;
let server: Server;
let path: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "streams-"));
  path = join(dir, "streams.sock");
  records = openRecords<HeldContainer>(join(dir, "containers"));
  containers = createContainers(records, { changed: () => {}, now: Date.now });
  server = serveStreams(path, containers);
});

afterEach(async () => {
  await containers.killAll();
  server.close();
  rmSync(dir, { recursive: true, force: true });
});

const env = { PATH: process.env["PATH"] ?? "/usr/bin:/bin" };
const shell = (script: string): Program => ({ argv: ["sh", "-c", script], env });

async function start(id: string, program: Program): Promise<void> {
  records.put({
    id,
    sandboxId: "s",
    podUid: "u",
    name: id,
    attempt: 0,
    logPath: join(dir, `${id}.log`),
    stopSignal: "SIGTERM",
    within: [],
    image: "i",
    imageId: "i",
    createdAt: 0,
    state: "created",
  });
  await containers.start(id, program);
}

const exec = (program: Program, more: { tty?: boolean; stdin?: boolean } = {}) =>
  openStreams(path, { type: "exec", id: "c", program, tty: false, stdin: false, ...more });

test("a command's outputs are apart, and its exit code comes after them", async () => {
  await start("c", shell("sleep 1000"));
  const streams = await exec(shell("echo out; echo err >&2; exit 3"));
  const [out, err] = await Promise.all([text(streams.stdout), text(streams.stderr)]);
  expect([out, err, await streams.ended]).toEqual(["out\n", "err\n", { exitCode: 3 }]);
});

test("input of any size reaches a command, and its end too", async () => {
  await start("c", shell("sleep 1000"));
  const streams = await exec(shell("wc -c"), { stdin: true });
  streams.stdin.end(Buffer.alloc(5_000_000));
  expect((await text(streams.stdout)).trim()).toBe("5000000");
});

test("on a terminal a command knows its size", async () => {
  await start("c", shell("sleep 1000"));
  const streams = await exec(shell("read line; stty size; exit 4"), { tty: true, stdin: true });
  streams.resize({ columns: 91, rows: 17 });
  streams.stdin.write("go\n");
  expect(await text(streams.stdout)).toContain("17 91");
  expect(await streams.ended).toEqual({ exitCode: 4 });
});

test.each([false, true])("a command ends with its connection (terminal: %s)", async (tty) => {
  await start("c", shell("sleep 1000"));
  const streams = await exec(shell("echo $$; exec sleep 1000"), { tty });
  const [first] = (await streams.stdout.take(1).toArray()) as Buffer[];
  const pid = Number(first?.toString().trim());
  expect(processStart(pid)).toBeDefined();
  streams.close();
  await expect.poll(() => existsSync(`/proc/${pid}`)).toBe(false);
});

test("a command ends with its container", async () => {
  await start("c", shell("sleep 1000"));
  const streams = await exec(shell("sleep 1000"));
  containers.signal("c", "SIGKILL");
  expect(await streams.ended).toEqual({ exitCode: 137 });
});

test("a command that can not be started is told, and so is a container that does not run", async () => {
  await start("c", shell("sleep 1000"));
  const missing = await exec({ argv: ["no-such-command"], env });
  await expect(missing.ended).rejects.toThrow("error executing command in container: spawn no-such-command ENOENT");
  const stopped = await openStreams(path, {
    type: "exec",
    id: "none",
    program: shell("true"),
    tty: false,
    stdin: false,
  });
  await expect(stopped.ended).rejects.toThrow("container none does not run");
});

test("several attach to one container; input is shared, and ends with the first where the container says so", async () => {
  await start("c", { ...shell("while read line; do echo got $line; done; echo over"), stdin: true, stdinOnce: true });
  const watching = await openStreams(path, { type: "attach", id: "c", stdin: false });
  const talking = await openStreams(path, { type: "attach", id: "c", stdin: true });
  // What is asked for first is served first: both are there when the echo comes back.
  talking.stdin.write("one\n");
  const seen = text(watching.stdout);
  talking.stdin.end("two\n");
  const said = text(talking.stdout);
  await Promise.all([watching.ended, talking.ended]);
  expect(await said).toBe("got one\ngot two\nover\n");
  expect(await seen).toBe("got one\ngot two\nover\n");
});

test("a container on a terminal writes its log, and its size can be set by who is attached", async () => {
  await start("c", { ...shell("read line; stty size; sleep 1000"), tty: true, stdin: true });
  const attached = await openStreams(path, { type: "attach", id: "c", stdin: true });
  attached.resize({ columns: 50, rows: 20 });
  attached.stdin.write("go\n");
  let out = "";
  for await (const chunk of attached.stdout) {
    out += String(chunk);
    if (out.includes("20 50")) break;
  }
  expect(out).toContain("20 50");
  expect(existsSync(join(dir, "c.log"))).toBe(true);
});

test("frames are read whatever pieces they come in", () => {
  const bytes = Buffer.concat([
    streamFrame(1, Buffer.from("out")),
    streamFrame(3, Buffer.from("{}")),
    streamFrame(5, Buffer.alloc(0)),
  ]);
  for (let size = 1; size <= bytes.length; size++) {
    const found: [number, string][] = [];
    const read = streamFrameReader((channel, data) => found.push([channel, data.toString()]));
    for (let at = 0; at < bytes.length; at += size) read(bytes.subarray(at, at + size));
    const out = found.filter(([channel]) => channel === 1).map(([, data]) => data);
    expect(out.join("")).toBe("out");
    expect(found.slice(-2)).toEqual([
      [3, "{}"],
      [5, ""],
    ]);
  }
});
