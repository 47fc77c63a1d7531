import { expect, test } from "vitest";
import { createKeyMap } from "./keys.ts";

test("what keys begin with is replaced, both ways", () => {
  const keys = createKeyMap({ root: "/registry", prefix: "/tenants/a" });
  expect(keys.toWire("/registry/core/pods/x/y").toString()).toBe("/tenants/a/core/pods/x/y");
  expect(keys.fromWire(Buffer.from("/tenants/a/core/pods/x/y"))).toBe("/registry/core/pods/x/y");
  expect(keys.fromWire(Buffer.from("/tenants/b/core/pods/x/y"))).toBeUndefined();
  expect(() => keys.toWire("/other")).toThrow(TypeError);
});

test("a range holds what begins with a prefix and comes after a key", () => {
  const keys = createKeyMap({ root: "/registry", prefix: "/p" });
  const range = (prefix: string, after: string): string[] => {
    const { key, end } = keys.range(prefix, after);
    return [key.toString("latin1"), end.toString("latin1")];
  };
  expect(range("/registry/core/", "")).toEqual(["/p/core/", "/p/core0"]);
  expect(range("/registry/core/", "/registry/core/b")).toEqual(["/p/core/b\0", "/p/core0"]);
  expect(range("/registry/core/", "/registry/a")).toEqual(["/p/core/", "/p/core0"]);
  expect(range("", "")).toEqual(["/p", "/q"]);
  const whole = createKeyMap({});
  expect(whole.range("", "")).toEqual({ key: Buffer.from([0]), end: Buffer.from([0]) });
});
