import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type CommandResult, systemCommands } from "../../src/system/index.ts";
import { repository } from "../support/lab.ts";

let dir = "";
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "fairlead-explain-"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const fairlead = (args: readonly string[], input = ""): Promise<CommandResult> =>
  systemCommands.run(process.execPath, [join(repository, "fairlead"), ...args], {
    input,
    timeout: 120_000,
    env: { KUBECONFIG: join(dir, "none"), HOME: dir },
  });
const file = async (name: string, text: string): Promise<string> => {
  const path = join(dir, name);
  await writeFile(path, text);
  return path;
};

describe("explaining manifests, without a cluster", () => {
  test("the README shows what is really printed", async () => {
    const readme = await readFile(join(repository, "README.md"), "utf8");
    const [, command = "", shown] = /^\$ fairlead (trace packet .*)\n([\s\S]*?)^```$/m.exec(readme) ?? [];
    const { code, stdout } = await fairlead(command.split(" "));
    expect(code).toBe(0);
    expect(stdout).toBe(shown);
  });

  test.each<[string, string[], number, RegExp]>([
    [
      "a destination without a port",
      ["trace", "packet", "-f", "examples/shop", "--from", "outside", "--to", "10.0.0.1"],
      2,
      /has no port to go to: give the number/,
    ],
    [
      "a client that is not there",
      ["trace", "packet", "-f", "examples/shop", "--from", "pod/shop/none", "--to", "10.0.0.1:80"],
      1,
      /there is no pod shop\/none/,
    ],
    ["no client", ["trace", "packet", "-f", "examples/shop", "--to", "10.0.0.1:80"], 2, /--from/],
    ["a file that is not there", ["doctor", "-f", "/none.yaml"], 16, /"\/none.yaml" does not exist/],
    ["no cluster", ["doctor"], 14, /kubeconfig/i],
    ["a bad URL", ["trace", "request", "GET", "http://[", "-f", "examples/shop"], 2, /is no URL/],
    ["another protocol", ["trace", "request", "GET", "ftp://a/", "-f", "examples/shop"], 2, /is no URL of HTTP/],
    ["a URL without a host", ["trace", "request", "GET", "/cart", "-f", "examples/shop"], 2, /is no URL of HTTP/],
    [
      "a bad header",
      ["trace", "request", "GET", "http://a/", "-H", "no colon", "-f", "examples/shop"],
      2,
      /is no header field/,
    ],
    ["a bad method", ["trace", "request", "G T", "http://a/", "-f", "examples/shop"], 2, /is no method/],
    ["nothing that can be explained", ["explain", "node/n", "-f", "examples/shop"], 2, /service\/NAME/],
    ["a mode that is none", ["diff", "-f", "examples/shop", "--mode", "ipvs"], 2, /Allowed choices/],
    ["an output that is none", ["doctor", "-f", "examples/shop", "-o", "xml"], 2, /table, json or yaml/],
  ])("%s is refused in one line", async (_, args, code, message) => {
    const result = await fairlead(args);
    expect(result.code, result.stderr).toBe(code);
    expect(result.stderr).toMatch(message);
    expect(result.stdout).toBe("");
  });

  test.each([
    ["broken YAML", "a: [", /error: /],
    ["text", "hello", /is no object/],
    [
      "a wrong type",
      "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: many}]}\n",
      /Service web: /,
    ],
    ["a wrong shape", "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: 7}\n", /Service web: /],
    ["no name", "apiVersion: v1\nkind: Service\nmetadata: {}\n", /no metadata.name/],
  ])("a manifest with %s is named", async (name, text, message) => {
    const path = await file(`${name.replaceAll(" ", "-")}.yaml`, text);
    for (const command of [["doctor"], ["diff", "--offline"], ["explain", "service/web"]]) {
      const { code, stderr } = await fairlead([...command, "-f", path]);
      expect(code, stderr).toBe(16);
      expect(stderr).toContain(path);
      expect(stderr).toMatch(message);
    }
  });

  test("kinds that are not known are left out, and said", async () => {
    const path = await file("other.yaml", "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\n");
    const { code, stdout, stderr } = await fairlead(["doctor", "-f", path]);
    expect([code, stdout]).toEqual([0, "Nothing is wrong, as far as can be seen.\n"]);
    expect(stderr).toContain("Widget is left out");
  });

  test("manifests may come on standard input", async () => {
    const text = await readFile(join(repository, "examples/shop/20-services.yaml"), "utf8");
    const { code, stdout } = await fairlead(["diff", "-f", "-", "--offline", "-o", "json"], text);
    expect(code).toBe(1);
    const { changes } = JSON.parse(stdout) as { changes: { object: string }[] };
    expect(new Set(changes.map(({ object }) => object)).size).toBeGreaterThan(3);
  });

  test("a Service whose names lead in a circle ends", async () => {
    const service = (name: string, to: string) =>
      `apiVersion: v1\nkind: Service\nmetadata: {name: ${name}}\nspec: {type: ExternalName, externalName: ${to}.default.svc.cluster.local}\n`;
    const path = await file("circle.yaml", `${service("a", "b")}---\n${service("b", "a")}`);
    const { code, stdout } = await fairlead([
      "trace",
      "packet",
      "-f",
      path,
      "--from",
      "outside",
      "--to",
      "service/a:80",
    ]);
    expect(code).toBe(0);
    expect(stdout).toContain("names lead to names without end");
  });
});
