import { describe, expect, test } from "vitest";
import type { Atom } from "../../tables/index.ts";
import { addedChains, scriptOf } from "./script.ts";
import { element } from "./serialise.ts";

const of = (table: string, key: Atom[], value: Atom[] = []) =>
  element({ table, key, value, owner: { object: "", field: "" } });

describe("elements", () => {
  test.each<[string, Atom[], Atom[], string]>([
    ["frontends", ["10.96.0.1", "tcp", 443], [0x1000_0800], "10.96.0.1 . tcp . 443 : 0x10000800"],
    ["nodeports", ["udp", 30053], [0x2000_0800], "udp . 30053 : 0x20000800"],
    ["slots", [0x800, 3], ["10.42.0.7", 8080], "0x00000800 . 3 : 10.42.0.7 . 8080"],
    ["pools", [0x800], ["pick", 3], "0x00000800 : goto pick-3"],
    ["pools", [0x800], ["stick", 3, 60], "0x00000800 : goto stick-3-60"],
    ["pools", [0x800], ["spread", 65], "0x00000800 : goto spread-65"],
    ["pools", [0x800], ["refuse"], "0x00000800 : goto refuse"],
    ["pools", [0x800], ["drop"], "0x00000800 : drop"],
    ["ranges", [0x5000_0800, "10.0.0.0/8"], [], "0x50000800 . 10.0.0.0/8"],
    ["pods", ["0.0.0.0/0"], [], "0.0.0.0/0"],
    ["hairpin", ["10.42.0.7", "10.42.0.7"], [], "10.42.0.7 . 10.42.0.7"],
    ["frontends6", ["fd00::1", "tcp", 443], [0x1000_0800], "fd00::1 . tcp . 443 : 0x10000800"],
    ["slots6", [0x800, 3], ["fd00::7", 8080], "0x00000800 . 3 : fd00::7 . 8080"],
    ["pods6", ["fd00::/64"], [], "fd00::/64"],
    ["vips6", ["fd00::1"], [], "fd00::1"],
    ["podlinks", ["cali*"], [], '"cali*"'],
  ])("%s %j %j", (table, key, value, expected) => {
    expect(of(table, key, value)).toBe(expected);
  });

  test.each<[string, string, Atom[], Atom[]]>([
    ["a command in an address", "frontends", ["10.0.0.1 } ; flush ruleset", "tcp", 80], [1]],
    ["a name for an address", "frontends", ["example.org", "tcp", 80], [1]],
    ["leading zeros", "frontends", ["010.0.0.1", "tcp", 80], [1]],
    ["the other family", "frontends", ["fd00::1", "tcp", 80], [1]],
    ["an unknown protocol", "frontends", ["10.0.0.1", "icmp", 80], [1]],
    ["a zone", "frontends6", ["fe80::1%eth0", "tcp", 80], [1]],
    ["IPv4 among IPv6", "frontends6", ["10.0.0.1", "tcp", 80], [1]],
    ["a command in an interface", "podlinks", ['x" }; flush ruleset'], []],
    ["port 0", "frontends", ["10.0.0.1", "tcp", 0], [1]],
    ["a port too large", "slots", [1, 0], ["10.0.0.1", 65_536]],
    ["a fraction", "slots", [1, 0.5], ["10.0.0.1", 80]],
    ["a number as text", "slots", [1, "0"], ["10.0.0.1", 80]],
    ["a mark too large", "slots", [2 ** 32, 0], ["10.0.0.1", 80]],
    ["too few fields", "slots", [1], ["10.0.0.1", 80]],
    ["a value in a set", "hairpin", ["10.0.0.1", "10.0.0.1"], [1]],
    ["no value in a map", "nodeports", ["tcp", 80], []],
    ["a range with a wrong prefix", "pods", ["10.0.0.0/33"], []],
    ["a range with words after it", "pods", ["10.0.0.0/8, 0.0.0.0/0"], []],
    ["an unknown verdict", "pools", [1], ["accept"]],
    ["a verdict with a chain of the user's", "pools", [1], ["pick", "3 ; accept"]],
    ["more endpoints than there are slots for", "pools", [1], ["pick", 65]],
    ["more endpoints than a mark can number", "pools", [1], ["spread", 1_024]],
    ["an affinity of no time", "pools", [1], ["stick", 3, 0]],
    ["an unknown table", "evil", ["10.0.0.1"], []],
    ["the name of something every object has", "constructor", ["10.0.0.1"], []],
  ])("refuses %s", (_, table, key, value) => {
    expect(of(table, key, value)).toBeUndefined();
  });
});

test("a script removes before it adds, and makes the chains that are missing", () => {
  const owner = { object: "", field: "" };
  const { script } = scriptOf(
    {
      reset: false,
      remove: [{ table: "pools", key: [0x800], value: ["pick", 2], owner }],
      add: [{ table: "pools", key: [0x800], value: ["spread", 77], owner }],
    },
    [...addedChains([{ table: "pools", key: [0x800], value: ["spread", 77], owner }]).values()],
    ["IPv4"],
  );
  const order = [
    "chain spread-77 {",
    "delete element ip fairlead pools { 0x00000800 }",
    "add element ip fairlead pools { 0x00000800 : goto spread-77 }",
  ];
  const places = order.map((text) => script.indexOf(text));
  expect(places).not.toContain(-1);
  expect(places).toEqual([...places].sort((a, b) => a - b));
});

test("rows that do not fit are named, and appear neither among what comes nor among what goes", () => {
  const owner = { object: "Service default/web", field: "spec" };
  const bad = { table: "pods", key: ["10.0.0.0/8 } ; flush ruleset"], value: [], owner };
  const good = { table: "pods", key: ["10.0.0.0/8"], value: [], owner };
  expect(scriptOf({ reset: false, remove: [bad], add: [bad, good] }, [], ["IPv4"])).toEqual({
    script: "add element ip fairlead pods { 10.0.0.0/8 }\n",
    refused: [bad],
  });
});
