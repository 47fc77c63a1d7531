import { describe, expect, it } from "vitest";
import { cloneJson, jsonEqual, semanticEqual } from "./equal.ts";
import { imageVersion, isImageReference } from "./image.ts";
import { percentOf, scaledValue } from "./intstr.ts";
import { canonicalIp, cidrContains, cidrSize, formatCidr, parseCidr, parseIp } from "./ip.ts";
import * as names from "./names.ts";
import { addQuantities, canonicalQuantity, compareQuantities, milliValue, unitValue } from "./quantity.ts";
import { canonicalTime, formatMicroTime, formatTime, parseDuration, parseTime } from "./time.ts";

describe("quantities", () => {
  it.each([
    ["0", "0"],
    ["1000m", "1"],
    ["1500m", "1500m"],
    ["0.5", "500m"],
    [".5", "500m"],
    ["5.", "5"],
    ["+5", "5"],
    ["-1.5", "-1500m"],
    ["1024Mi", "1Gi"],
    ["1536Mi", "1536Mi"],
    ["0.5Gi", "512Mi"],
    ["100Ki", "100Ki"],
    ["1023", "1023"],
    ["1000Ki", "1000Ki"],
    ["1e3", "1e3"],
    ["15E2", "1500"],
    ["1E", "1E"],
    ["1000000k", "1G"],
    ["0.1n", "1n"],
    ["-0.1n", "-1n"],
    ["0Gi", "0"],
    ["999Ei", "9223372036854775807"],
  ])("%s is %s", (text, canonical) => {
    expect(canonicalQuantity(text)).toBe(canonical);
  });

  it.each(["", "x", "1x", ".", "1.2.3", "1 ", "--1", "1Kii", "0x10", "1e", "1ee3"])("%j is none", (text) => {
    expect(() => canonicalQuantity(text)).toThrow(RangeError);
  });

  it("compares, adds and counts exactly", () => {
    expect(compareQuantities("1", "1000m")).toBe(0);
    expect(compareQuantities("1Gi", "1G")).toBe(1);
    expect(addQuantities("500m", "1.5")).toBe("2");
    expect(addQuantities("9007199254740993", "1")).toBe("9007199254740994");
    expect(milliValue("0.0001")).toBe(1);
    expect(unitValue("1.5Ki")).toBe(1536);
  });
});

describe("IntOrString", () => {
  it.each([
    [5, 10, "up", 5],
    ["25%", 10, "up", 3],
    ["25%", 10, "down", 2],
    ["0%", 10, "up", 0],
    ["100%", 7, "down", 7],
  ] as const)("%s of %i, %s: %i", (value, total, round, expected) => {
    expect(scaledValue(value, total, round)).toBe(expected);
  });

  it("is a number or a percentage", () => {
    expect(() => scaledValue("five", 10, "up")).toThrow(RangeError);
    expect(percentOf("25%")).toBe(25);
    expect(percentOf(25)).toBeUndefined();
  });
});

describe("addresses", () => {
  it.each([
    ["10.0.0.1", "10.0.0.1"],
    ["::", "::"],
    ["::1", "::1"],
    ["2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["fe80:0:0:0:0:0:0:0", "fe80::"],
    ["::ffff:1.2.3.4", "1.2.3.4"],
    ["64:ff9b::1.2.3.4", "64:ff9b::102:304"],
  ])("%s is %s", (text, canonical) => {
    expect(canonicalIp(text)).toBe(canonical);
  });

  it.each([
    "",
    "1.2.3",
    "1.2.3.4.5",
    "1.2.3.256",
    "01.2.3.4",
    "1.2.3.4 ",
    ":::",
    "1::2::3",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7",
    "::g",
    "fe80::1%eth0",
    "1:2:3:4:5:6:7:8::",
  ])("%j is none", (text) => {
    expect(parseIp(text)).toBeUndefined();
  });

  it("blocks contain addresses of their family", () => {
    const block = parseCidr("10.96.0.0/16");
    const inside = parseIp("10.96.255.255");
    const outside = parseIp("10.97.0.0");
    const other = parseIp("::a60:1");
    if (!block || !inside || !outside || !other) throw new Error("not parsed");
    expect(cidrContains(block, inside)).toBe(true);
    expect(cidrContains(block, outside)).toBe(false);
    expect(cidrContains(block, other)).toBe(false);
    expect(cidrSize(block)).toBe(65_536n);
    expect(parseCidr("10.1.2.3/8")).toMatchObject({ hostBits: true, prefix: 8 });
    expect(formatCidr(block)).toBe("10.96.0.0/16");
    expect(cidrSize(parseCidr("::/0") ?? block)).toBe(2n ** 128n);
  });

  it.each(["10.0.0.0", "10.0.0.0/33", "10.0.0.0/08", "10.0.0.0/8/8", "::/129", "/8"])("%j is no block", (text) => {
    expect(parseCidr(text)).toBeUndefined();
  });
});

describe("time", () => {
  it.each([
    ["2030-01-01T00:00:00Z", "2030-01-01T00:00:00Z"],
    ["2030-01-01T01:30:00.999+01:30", "2030-01-01T00:00:00Z"],
    ["2029-12-31T23:00:00-01:00", "2030-01-01T00:00:00Z"],
    ["2028-02-29T12:00:00Z", "2028-02-29T12:00:00Z"],
    ["2030-02-30T00:00:00Z", undefined],
    ["2030-01-01 00:00:00Z", undefined],
    ["2030-01-01T24:00:00Z", undefined],
    ["2030-13-01T00:00:00Z", undefined],
  ])("%s is %s", (text, canonical) => {
    expect(canonicalTime(text, false)).toBe(canonical);
  });

  it("goes to milliseconds and back", () => {
    const at = Date.UTC(2030, 0, 1, 2, 3, 4, 567);
    expect(parseTime(formatMicroTime(at))).toBe(at);
    expect(formatTime(at)).toBe("2030-01-01T02:03:04Z");
    expect(canonicalTime("2030-01-01T00:00:00.1Z", true)).toBe("2030-01-01T00:00:00.100000Z");
  });

  it.each([
    ["1h30m", 5_400_000],
    ["1.5s", 1500],
    ["-2m", -120_000],
    ["0", 0],
    ["100us", 0.1],
    ["1d", undefined],
    ["", undefined],
    ["5", undefined],
  ])("duration %s is %s ms", (text, expected) => {
    expect(parseDuration(text)).toBe(expected);
  });
});

describe("equality", () => {
  it.each([
    [{ a: [] }, {}, true, false],
    [{ a: null }, {}, true, false],
    [{ a: {} }, {}, true, false],
    [{ a: 1, b: 2 }, { b: 2, a: 1 }, true, true],
    [{ a: 0 }, {}, false, false],
    [{ a: [1, 2] }, { a: [2, 1] }, false, false],
    [{ a: { b: [1] } }, { a: { b: [1] } }, true, true],
    [[], {}, true, false],
  ])("%j and %j", (a, b, semantic, exact) => {
    expect(semanticEqual(a, b)).toBe(semantic);
    expect(semanticEqual(b, a)).toBe(semantic);
    expect(jsonEqual(a, b)).toBe(exact);
  });

  it("a clone shares nothing", () => {
    const value = { a: [{ b: 1 }] };
    const copy = cloneJson(value);
    expect(copy).toEqual(value);
    expect(copy.a[0]).not.toBe(value.a[0]);
  });
});

describe("names", () => {
  const check = (list: names.NameCheck, good: string[], bad: string[]) => {
    for (const value of good) expect(list(value), value).toEqual([]);
    for (const value of bad) expect(list(value), value).not.toEqual([]);
  };
  const long = "a".repeat(64);

  it("follow the RFCs", () => {
    check(names.isDns1123Label, ["a", "0", "a-b"], ["", "-a", "a-", "A", "a.b", "a_b", long]);
    check(names.isDns1123Subdomain, ["a", "a.b-c.0"], ["", "a..b", ".a", "a.", "A", "*.a", `${"a.".repeat(127)}a`]);
    check(names.isDns1035Label, ["a", "a-0"], ["", "0a", "a.b", long]);
    check(names.isWildcardDns1123Subdomain, ["*.a", "*.a.b"], ["a", "*", "*.*.a", "a.*"]);
    check(names.isPortName, ["http", "a-1"], ["", "1", "a--b", "-a", "A", "a".repeat(16)]);
    check(names.isQualifiedName, ["a", "A_b.c", "a.b/c"], ["", "/a", "a/", "a/b/c", "-a", `a/${long}`, "A/b", "a b"]);
    check(names.isLabelValue, ["", "a", "A_b.c"], ["-", "a b", "a/b", long]);
    check(names.isConfigKey, ["a", ".a", "A_b-c.d"], ["", ".", "..", "..a", "a/b"]);
    check(names.isEnvironmentName, ["A", "a b", "a-b.c", "1a"], ["", "a=b", "ä", "a\n"]);
    check(names.isPercent, ["0%", "100%"], ["%", "1", "-1%", "1.5%"]);
    check(names.isPathSegment, ["system:admin", "a b"], [".", "..", "a/b", "a%b"]);
    check(names.isHttpHeaderName, ["X-A"], ["", "a b", "a:"]);
  });

  it("take no time that grows faster than the name", () => {
    for (const text of [`${"a".repeat(2_000_000)}!`, `${"a.".repeat(1_000_000)}!`, `${"a-".repeat(1_000_000)}!`]) {
      expect(names.isDns1123Label(text)).toHaveLength(2);
      expect(names.isDns1123Subdomain(text)).toHaveLength(2);
      expect(names.isQualifiedName(text)).toHaveLength(2);
      expect(names.isLabelValue(text)).toHaveLength(2);
    }
  });

  it("a dash may end the beginning of a name", () => {
    expect(names.forPrefix(names.isDns1123Label)("web-")).toEqual([]);
    expect(names.forPrefix(names.isDns1123Label)("-")).not.toEqual([]);
  });

  it("generated ones fit into a label", () => {
    let seed = 1;
    const random = () => (seed = (seed * 16_807) % 2_147_483_647) / 2_147_483_647;
    expect(names.generateName("web-", random)).toMatch(/^web-[bcdfghjklmnpqrstvwxz2456789]{5}$/);
    expect(names.generateName("x".repeat(80), random)).toHaveLength(63);
  });
});

describe("images", () => {
  it.each([
    ["nginx", true, "latest"],
    ["nginx:1.27", true, "1.27"],
    ["localhost:5000/a/b:v1", true, "v1"],
    [`a/b@sha256:${"0".repeat(64)}`, true, `sha256:${"0".repeat(64)}`],
    ["fairlead.dev/echo", true, "latest"],
    ["Nginx", false, "latest"],
    ["a b", false, "latest"],
    ["a:", false, "latest"],
  ])("%s", (image, good, version) => {
    expect(isImageReference(image)).toBe(good);
    expect(imageVersion(image)).toBe(version);
  });
});
