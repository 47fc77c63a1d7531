import { expect, test } from "vitest";
import { silentLogger } from "../../system/index.ts";
import { connectionsWithin, fileLimit, filesForConnections, warnOfFileLimit } from "./file-limit.ts";

test("the limit of open files is read, and a low one is told of with the connections that it allows", () => {
  const limits = (soft: string) =>
    `Limit  Soft Limit  Hard Limit  Units\nMax open files            ${soft}   4096   files\n`;
  expect(fileLimit(limits("1024"))).toBe(1024);
  expect(fileLimit(limits("unlimited"))).toBeUndefined();
  expect(fileLimit("")).toBeUndefined();
  expect(connectionsWithin(100)).toBe(25);
  expect(connectionsWithin(1_024)).toBe(384);
  expect([filesForConnections(1_024), filesForConnections(100), filesForConnections()]).toEqual([768, 50, Infinity]);
  const said: string[] = [];
  const log = { ...silentLogger, warn: (_: unknown, text: string) => said.push(text) };
  warnOfFileLimit(log, 1_048_576);
  expect(said).toEqual([]);
  warnOfFileLimit(log, 1_024);
  expect(said.join()).toContain("allows about 384 connections");
});
