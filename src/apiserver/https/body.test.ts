import { PassThrough } from "node:stream";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { bodyLimit } from "../request/body.ts";
import { drain, readBody } from "./body.ts";

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }));
afterEach(() => void vi.useRealTimers());

const megabyte = Buffer.alloc(1 << 20);

describe("a body", () => {
  it("is read whole", async () => {
    const stream = new PassThrough();
    const body = readBody(stream);
    stream.write("ab");
    stream.end("c");
    expect(Buffer.from(await body).toString()).toBe("abc");
  });

  it("that is too large is taken in, then refused", async () => {
    const stream = new PassThrough();
    const body = readBody(stream).catch((error: unknown) => error);
    let taken = 0;
    stream.on("data", (chunk: Buffer) => (taken += chunk.length));
    for (let i = 0; i < 10; i++) stream.write(megabyte);
    stream.end();
    expect(await body).toMatchObject({
      reason: "RequestEntityTooLarge",
      message: `Request entity too large: limit is ${bodyLimit}`,
    });
    expect(taken).toBe(10 << 20);
  });

  it("that is far too large, or does not end, is not waited for", async () => {
    const huge = new PassThrough();
    const refused = readBody(huge).catch((error: unknown) => error);
    for (let i = 0; i < 70; i++) huge.write(megabyte);
    expect(await refused).toMatchObject({ reason: "RequestEntityTooLarge" });

    const endless = new PassThrough();
    const late = readBody(endless).catch((error: unknown) => error);
    for (let i = 0; i < 5; i++) endless.write(megabyte);
    await new Promise((resolve) => setImmediate(resolve));
    vi.advanceTimersByTime(10_000);
    expect(await late).toMatchObject({ reason: "RequestEntityTooLarge" });
  });

  it("that comes too slowly, or whose client goes, is given up", async () => {
    const slow = readBody(new PassThrough()).catch((error: unknown) => error);
    vi.advanceTimersByTime(60_000);
    expect(await slow).toMatchObject({ reason: "Timeout" });

    const stream = new PassThrough();
    const gone = readBody(stream).catch((error: unknown) => error);
    stream.destroy();
    expect(await gone).toMatchObject({ reason: "BadRequest" });
  });

  it("that nobody reads is dropped, within limits", () => {
    const stream = new PassThrough();
    drain(stream);
    vi.advanceTimersByTime(9_999);
    expect(stream.destroyed).toBe(false);
    vi.advanceTimersByTime(1);
    expect(stream.destroyed).toBe(true);
  });
});
