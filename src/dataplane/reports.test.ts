import { describe, expect, test } from "vitest";
import type { Listener } from "../routing/index.ts";
import { readReport as readHaproxy } from "./haproxy/reports.ts";
import { readReport as readNginx } from "./nginx/reports.ts";
import { createLines } from "./reports.ts";
import { samplePool as pool, sampleRoute } from "./sample.ts";

const one = sampleRoute({ id: "Ingress shop/web one.test", host: "one.test" });
const two = sampleRoute({ id: "Ingress shop/web two.test", host: "two.test" });
const listener: Listener = { name: "http", port: 80, protocol: "HTTP", servers: new Map() };
const index = {
  listener: (name: string) => (name === "l1" ? listener : undefined),
  anyRoute: (id: string) => [one, two].find((route) => route.id === id),
  pool: (key: string) => (key === pool.key ? pool : undefined),
  poolOf: (slot: string) => (slot === "http1" ? pool.key : undefined),
  withRow: (item: string) => (item === "r1" ? [one, two] : []),
};

describe("lines of a program", () => {
  test("are put together from pieces, wherever they are cut", () => {
    const text = Buffer.from("one\ntwo\n\nthree\n");
    for (let at = 0; at <= text.length; at++) {
      const lines: string[] = [];
      const feed = createLines((line) => lines.push(line));
      feed(text.subarray(0, at));
      feed(text.subarray(at));
      expect(lines).toEqual(["one", "two", "three"]);
    }
  });

  test("that never end are left out and take no memory; the next one is whole", () => {
    const lines: string[] = [];
    const feed = createLines((line) => lines.push(line));
    for (let piece = 0; piece < 64; piece++) feed(Buffer.alloc(16 << 10, 97));
    feed(Buffer.from("\nnext\n"));
    expect(lines).toEqual(["next"]);
  });
});

describe("a report of HAProxy's", () => {
  const said = {
    id: "i",
    method: "GET",
    host: "two.test:8080",
    target: "/a?b",
    protocol: "HTTP/1.1",
    "user-agent": "-",
    frontend: "l1~",
    backend: "http1",
    item: "r1",
    client: "10.0.0.9",
    code: 200,
    bytes: 12,
    began: 3,
    took: 10,
    end: "--",
    server: "e1",
    address: "fd00::1",
    port: "80",
  };
  const read = (more: Partial<Record<keyof typeof said, unknown>> = {}) =>
    readHaproxy(JSON.stringify({ ...said, ...more }), index);

  test("names its route where two rows are one, its pool, and its time without that of the header section", () => {
    expect(read()).toMatchObject({ route: two, pool, endpoint: "[fd00::1]:80", milliseconds: 7, code: 200 });
    expect(read({ host: "one.test" })).toMatchObject({ route: one });
    expect(read()?.header("user-agent")).toBeUndefined();
  });

  test("says 499 when the client left before its answer, and what was sent when it left later", () => {
    expect(read({ end: "CH", code: -1 })).toMatchObject({ code: 499 });
    expect(read({ end: "CD" })).toMatchObject({ code: 200 });
    expect(read({ end: "cD", code: 408 })).toMatchObject({ code: 408 });
  });

  test("may lack everything that only a route or an endpoint has", () => {
    const finished = read({ frontend: "l2", backend: "l2", item: "-", server: "<NOSRV>", address: "-", took: -1 });
    expect(finished).toMatchObject({ milliseconds: 0 });
    for (const name of ["route", "pool", "endpoint"]) expect(finished).not.toHaveProperty(name);
  });

  test("is told from what HAProxy says of itself", () => {
    expect(readHaproxy("Connect from 127.0.0.1:1 to 127.0.0.1:2 (l1/HTTP)", index)).toBeUndefined();
  });
});

describe("a report of nginx's", () => {
  const values = [
    "i",
    "10.0.0.9",
    "GET",
    "one.test",
    "/",
    "HTTP/2.0",
    "200",
    "5",
    "0.012",
    one.id,
    pool.key,
    "",
    "",
    "",
    "",
  ];
  const read = (changes: Readonly<Record<number, string>> = {}) =>
    readNginx(values.map((value, at) => changes[at] ?? value).join("\u001f"), index);

  test("names its route and pool, and the endpoint that was tried last", () => {
    expect(read({ 11: "10.0.0.1:80, [fd00::1]:80" })).toMatchObject({
      route: one,
      pool,
      endpoint: "[fd00::1]:80",
      milliseconds: 12,
    });
    expect(read({ 11: "10.0.0.1:80 : 10.0.0.2:80" })).toMatchObject({ endpoint: "10.0.0.2:80" });
    expect(read()).not.toHaveProperty("endpoint");
  });

  test("says how many requests were not told of, and is nothing when it is cut off", () => {
    expect(readNginx("lost\u001f7", index)).toBe(7);
    expect(readNginx(values.slice(1).join("\u001f"), index)).toBeUndefined();
    expect(read({ 6: "000" })).toMatchObject({ code: 499 });
  });
});
