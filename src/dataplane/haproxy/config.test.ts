import { describe, expect, test } from "vitest";
import { commands, endpointAddress, pemLines, UnsafeCommand } from "./command.ts";
import { directive, UnsafeDirective } from "./config.ts";
import { rowText, word } from "./row.ts";

/** Numbers from 0 to 1 that are the same in every run. */
function randomness(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

const nasty = [
  "\n",
  "\r",
  "\0",
  " ",
  "\t",
  ";",
  "#",
  '"',
  "'",
  "\\",
  "<<",
  "{",
  "}",
  "$",
  "%",
  "(",
  ")",
  "=",
  "|",
  "é",
  "𝕏",
  "\u2028",
  "add map",
  "\n\ndel server",
  "%[src]",
  "> ",
];

function texts(): string[] {
  const random = randomness(7);
  return Array.from({ length: 2_000 }, () =>
    Array.from({ length: Math.floor(random() * 8) }, () =>
      random() < 0.6 ? nasty[Math.floor(random() * nasty.length)] : String.fromCharCode(Math.floor(random() * 0x250)),
    ).join(""),
  );
}

describe("a text of a user's", () => {
  test("is one word of a row, of harmless bytes only, and can be read back", () => {
    for (const text of texts()) {
      const encoded = word(text);
      expect(encoded).toMatch(/^[A-Za-z0-9._~/*:=-]+$/);
      const bytes =
        encoded === "="
          ? ""
          : encoded.replace(/=([0-9A-F]{2})/g, (_all, digits: string) => String.fromCharCode(parseInt(digits, 16)));
      expect(Buffer.from(bytes, "latin1").toString("utf8")).toBe(Buffer.from(text, "utf8").toString("utf8"));
    }
  });

  test("never changes the shape of a row", () => {
    for (const text of texts()) {
      const row = rowText(["set", ["name", text], 1]);
      expect(row).toBe(`set ( name ${word(text)} ) 1`);
      expect(row.split(" ")).toHaveLength(6);
    }
  });

  test("is no part of a command unless it fits, and never more than one line", () => {
    const attempts: ((text: string) => { line: string; payload?: readonly string[] })[] = [
      (text) => commands.setMapEntry("/tmp/x.map", text, "h1"),
      (text) => commands.setMapEntry("/tmp/x.map", "key", text),
      (text) => commands.addMapEntries("/tmp/x.map", [[text, text]]),
      (text) => commands.removeMapEntry(text, "key"),
      (text) => commands.addServer(text, "e1", "127.0.0.1", 80, []),
      (text) => commands.addServer("h1", text, "127.0.0.1", 80, []),
      (text) => commands.addServer("h1", "e1", text, 80, []),
      (text) => commands.addServer("h1", "e1", "127.0.0.1", 80, [text]),
      (text) => commands.setCertificate("/tmp/x.pem", text),
      (text) => commands.addToList("/tmp/list", { file: text, pem: "", name: "a.test" }),
      (text) => commands.addToList("/tmp/list", { file: "/tmp/a.pem", pem: "", name: text }),
      (text) => {
        const asks = { verify: "optional", authorities: text } as const;
        return commands.addToList("/tmp/list", { file: "/tmp/a.pem", pem: "", name: "a.test", asks });
      },
    ];
    for (const text of texts())
      for (const attempt of attempts) {
        let made: ReturnType<typeof attempt> | undefined;
        try {
          made = attempt(text);
        } catch (error) {
          expect(error).toBeInstanceOf(UnsafeCommand);
        }
        if (!made) continue;
        expect(made.line).toMatch(/^(?:[A-Za-z0-9._~/*:=|?%@(),[\]-]|(?<!<<) |\\ )+$/);
        for (const line of made.payload ?? []) expect(line).toMatch(/^[A-Za-z0-9._~/*:=|?%() +[\]-]+$/);
      }
  });

  test("is no word of the configuration when it could be more than one", () => {
    for (const text of texts()) {
      let line: string;
      try {
        line = directive("server", text);
      } catch (error) {
        expect(error).toBeInstanceOf(UnsafeDirective);
        continue;
      }
      // Between strong quotes nothing means anything but a quote.
      expect(line).toMatch(/^server (?:[A-Za-z0-9._/:@()=,+*%[\]{}!?-]+|'[^'\n\r\0]+')$/);
    }
  });
});

test("addresses of endpoints", () => {
  expect(endpointAddress("10.0.0.1", 80)).toBe("10.0.0.1:80");
  expect(endpointAddress("fd00::1", 80)).toBe("[fd00::1]:80");
  for (const bad of ["10.0.0.1 check", "localhost", "fe80::1%eth0", "unix@/x", ""])
    expect(() => endpointAddress(bad, 80)).toThrow(UnsafeCommand);
  for (const port of [0, 65_536, 1.5, Number.NaN])
    expect(() => endpointAddress("10.0.0.1", port)).toThrow(UnsafeCommand);
});

test("PEM without blank lines and without anything around it", () => {
  const pem = "before\n-----BEGIN CERTIFICATE-----\r\nAAAA\n\n  BBBB\n-----END CERTIFICATE-----\nbetween\n\n";
  expect(pemLines(pem)).toEqual(["-----BEGIN CERTIFICATE-----", "AAAA", "BBBB", "-----END CERTIFICATE-----"]);
  expect(pemLines("nonsense; del server")).toEqual([]);
});
