import { mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { FakeClock } from "../system/index.ts";
import { parseNameServers, parseServer, serversFromFile } from "./upstream.ts";

test("reads name servers as resolvers do", () => {
  const text = `# comment\nnameserver 192.0.2.1\n  nameserver\t2001:db8::1%eth0 ; x\nsearch a b\nnameserver example.com\nnameserver 192.0.2.3\nnameserver 192.0.2.4`;
  expect(parseNameServers(text).map(({ address }) => address)).toEqual(["192.0.2.1", "2001:db8::1", "192.0.2.3"]);
  expect(parseNameServers("")).toEqual([]);
});

test.each([
  ["192.0.2.1", { address: "192.0.2.1", port: 53 }],
  ["192.0.2.1:5353", { address: "192.0.2.1", port: 5353 }],
  ["2001:db8::1", { address: "2001:db8::1", port: 53 }],
  ["[2001:db8::1]:5353", { address: "2001:db8::1", port: 5353 }],
  ["[192.0.2.1]:53", undefined],
  ["192.0.2.1:0", undefined],
  ["192.0.2.1:70000", undefined],
  ["example.com:53", undefined],
  ["", undefined],
])("reads the server %j", (text, expected) => {
  expect(parseServer(text)).toEqual(expected);
});

test("reads the file again when it has changed, and lives without it", async () => {
  const directory = mkdtempSync(join(tmpdir(), "fairlead-dns-"));
  const file = join(directory, "resolv.conf");
  const clock = new FakeClock();
  const servers = serversFromFile(file, clock);
  const addresses = async () => (await servers()).map(({ address }) => address);
  expect(await addresses()).toEqual([]);
  writeFileSync(file, "nameserver 192.0.2.1\n");
  await clock.advance(5000);
  expect(await addresses()).toEqual(["192.0.2.1"]);
  writeFileSync(file, "nameserver 192.0.2.2\n");
  utimesSync(file, 1, 1);
  expect(await addresses()).toEqual(["192.0.2.1"]);
  await clock.advance(5000);
  expect(await addresses()).toEqual(["192.0.2.2"]);
  rmSync(directory, { recursive: true });
  await clock.advance(5000);
  expect(await addresses()).toEqual([]);
});
