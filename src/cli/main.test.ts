import { afterEach, expect, it, vi } from "vitest";
import { main } from "./main.ts";

afterEach(() => vi.restoreAllMocks());

it.each([
  ["ingress", "status"],
  ["ingress", "switch", "--to", "nginx"],
  ["proxy", "status"],
  ["proxy", "switch", "--to", "nftables"],
])("%s %s gets its own --control-socket, although the command above has one too", async (...words) => {
  const said: string[] = [];
  vi.spyOn(console, "error").mockImplementation((line: string) => void said.push(line));
  const code = await main([...words, "--control-socket", "/nowhere/control.sock"]);
  expect(code).not.toBe(0);
  expect(said.join("\n")).toContain("/nowhere/control.sock");
});
