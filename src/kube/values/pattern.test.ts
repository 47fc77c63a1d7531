import { describe, expect, it } from "vitest";
import { compilePattern, PatternError } from "./pattern.ts";

describe("test", () => {
  it.each<[string, string, boolean]>([
    ["", "", true],
    ["", "x", true],
    ["a", "cat", true],
    ["^a", "cat", false],
    ["^a|t$", "cat", true],
    ["^(a|b)*c$", "ababc", true],
    ["^(a|b)*c$", "ababd", false],
    ["^a{2,3}$", "a", false],
    ["^a{2,3}$", "aa", true],
    ["^a{2,3}$", "aaaa", false],
    ["^a{2,}$", "aaaaaa", true],
    ["^a{2}$", "aaa", false],
    ["a{,2}", "a{,2}", true],
    ["x{a}", "x{a}", true],
    ["^[^a-c]+$", "xyz", true],
    ["^[^a-c]+$", "xbz", false],
    ["^[]a]+$", "]a]", true],
    ["^[a-]+$", "a-a", true],
    ["^[-a]+$", "a-a", true],
    ["^[a\\-z]+$", "m", false],
    ["^[[:alpha:]_]+$", "ab_C", true],
    ["^[[:^alpha:]]+$", "12", true],
    ["^\\d+\\s\\w\\S\\D$", "12 ax!", true],
    ["^[\\d-]+$", "1-2", true],
    ["(?i)^hello$", "HeLLo", true],
    ["^(?i)hello(?-i)X$", "HELLOX", true],
    ["^(?i)hello(?-i)X$", "HELLOx", false],
    ["^(?i:a)b$", "Ab", true],
    ["^(?i:a)b$", "AB", false],
    ["(?i)K", "\u212a", true],
    ["(?i)[^k]", "K", false],
    ["^a.c$", "a\nc", false],
    ["(?s)^a.c$", "a\nc", true],
    ["^b$", "a\nb\nc", false],
    ["(?m)^b$", "a\nb\nc", true],
    ["\\Ab\\z", "a\nb", false],
    ["^b$", "b\n", false],
    ["\\bfoo\\b", "a foo b", true],
    ["\\bfoo\\b", "afoo b", false],
    ["\\Bo", "fo", true],
    ["^\\pL+$", "aé中", true],
    ["^\\pL+$", "a1", false],
    ["^\\p{Greek}+$", "αβγ", true],
    ["^\\P{Greek}+$", "αβγ", false],
    ["^\\p{^Lu}$", "a", true],
    ["^[\\p{Lu}\\d]+$", "A1É", true],
    ["^.$", "😀", true],
    ["^[😀-😂]$", "😁", true],
    ["^\\x41\\x{1F600}\\101$", "A😀A", true],
    ["^\\Qa.b\\E+$", "a.bbb", true],
    ["^(?P<year>\\d{4})-(?<month>\\d\\d)$", "2024-05", true],
    ["^\\.\\*\\/$", ".*/", true],
    ["(?U)^a+$", "aaa", true],
    ["^(|a)+$", "aaa", true],
    ["^(a*)*$", "aaab", false],
    ["a||b", "", true],
    ["^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$", "/a%2Fb", true],
    ["^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$", "/a%2", false],
    ["^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)$", "a-b.example.com", true],
    ["^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)$", "a-.example.com", false],
  ])("%j on %j", (source, text, expected) => {
    expect(compilePattern(source).test(text)).toBe(expected);
  });
});

describe("syntax", () => {
  it.each([
    ["(", "missing closing ): `(`"],
    [")", "unexpected ): `)`"],
    ["[a", "missing closing ]: `[a`"],
    ["*a", "missing argument to repetition operator: `*`"],
    ["a**", "invalid nested repetition operator: `**`"],
    ["a{1001}", "invalid repeat count: `{1001}`"],
    ["a{2,1}", "invalid repeat count: `{2,1}`"],
    ["(a{100}){100}", "invalid repeat count: `{100}`"],
    ["(?=a)", "invalid or unsupported Perl syntax: `(?=`"],
    ["(?!a)", "invalid or unsupported Perl syntax: `(?!`"],
    ["(?<=a)", "invalid or unsupported Perl syntax: `(?<=`"],
    ["(?<!a)", "invalid or unsupported Perl syntax: `(?<!`"],
    ["(?z)", "invalid or unsupported Perl syntax: `(?z`"],
    ["(?P<n>a)(?P<n>b)", "duplicate capture group name: `n`"],
    ["\\", "trailing backslash at end of expression"],
    ["\\1", "invalid escape sequence: `\\1`"],
    ["\\Z", "invalid escape sequence: `\\Z`"],
    ["[z-a]", "invalid character class range: `z-a`"],
    ["\\p{Nope}", "invalid character class range: `\\p{Nope}`"],
    ["[[:nope:]]", "invalid character class range: `[:nope:]`"],
  ])("%j is refused", (source, message) => {
    expect(() => compilePattern(source)).toThrow(new PatternError(`error parsing regexp: ${message}`));
  });
});

describe("find", () => {
  it.each<[string, string, string[]]>([
    ["a+", "caaandaab", ["aaa", "aa"]],
    ["a+?", "aaa", ["a", "a", "a"]],
    ["a|ab", "abab", ["a", "a"]],
    ["ab|a", "aba", ["ab", "a"]],
    ["a*", "baac", ["", "aa", ""]],
    ["\\b\\w", "one two", ["o", "t"]],
    ["^a", "aaa", ["a"]],
    ["(?m)^\\w", "ab\ncd", ["a", "c"]],
    [".", "a😀", ["a", "😀"]],
    ["x*", "", [""]],
    ["x", "", []],
  ])("%j in %j", (source, text, expected) => {
    expect(compilePattern(source).findAll(text)).toEqual(expected);
  });

  it("stops at the limit", () => {
    expect(compilePattern("a").findAll("aaaa", 2)).toEqual(["a", "a"]);
  });
});

describe("bounds", () => {
  it.each(["^(a+)+$", "^(a|a)*$", "^(a|aa)+$", "(.*)*x", "^(([a-z])+.)+[A-Z]([a-z])+$", "(a?){50}a{50}"])(
    "%j takes no time that grows faster than the text",
    (source) => {
      const pattern = compilePattern(source);
      expect(pattern.test(`${"a".repeat(50_000)}!`)).toBe(/a\?/.test(source));
      expect(pattern.find("a".repeat(300))).toBeTypeOf(/x$|Z/.test(source) ? "undefined" : "object");
    },
  );

  it("a pattern that makes very many states forgets some", () => {
    const pattern = compilePattern("^[01]*1[01]{18}$");
    const text = Array.from({ length: 60_000 }, (_, i) => ((i * 2654435761) >>> 7) & 1).join("");
    expect(pattern.test(text)).toBe(text.at(-19) === "1");
  });

  it("a pattern that is too large is refused", () => {
    expect(() => compilePattern("\\w{1000}".repeat(100))).toThrow(/expression too large/);
    expect(() => compilePattern("(?i)[\\pL]".repeat(2000))).toThrow(/expression too large/);
  });

  it("agrees with the engine's own on what both understand", () => {
    let seed = 42;
    const random = (below: number) => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) % below;
    const pieces = [
      "a",
      "b",
      ".",
      "[ab]",
      "[^a]",
      "(a|b)",
      "(?:ab)?",
      "a*",
      "b+?",
      "\\b",
      "^",
      "$",
      "(a|)",
      "b{1,2}",
      "|",
    ];
    for (let i = 0; i < 3000; i++) {
      const source = Array.from({ length: 1 + random(6) }, () => pieces[random(pieces.length)]).join("");
      const text = Array.from({ length: random(8) }, () => "ab "[random(3)]).join("");
      const pattern = compilePattern(source);
      const own = new RegExp(source, "u").exec(text);
      expect([source, text, pattern.test(text)]).toEqual([source, text, own !== null]);
      const found = pattern.find(text);
      expect([source, text, found && text.slice(found.start, found.end)]).toEqual([source, text, own?.[0]]);
    }
  });
});
