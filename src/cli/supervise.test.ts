import { describe, expect, it } from "vitest";
import { FakeClock, silentLogger, type Component } from "../system/index.ts";
import { supervise } from "./supervise.ts";

const never = new Promise<void>(() => {});

/** A part that lives until its signal aborts. */
const healthy = (signal: AbortSignal): Component => ({
  name: "part",
  ready: Promise.resolve(),
  stopped: new Promise((resolve) => signal.addEventListener("abort", () => resolve())),
});

function setUp(start: (signal: AbortSignal, attempt: number) => Component) {
  const clock = new FakeClock();
  const stop = new AbortController();
  let attempts = 0;
  const part = supervise("part", (signal) => start(signal, ++attempts), {
    signal: stop.signal,
    clock,
    log: silentLogger,
  });
  return { part, clock, stop, attempts: () => attempts };
}

describe("supervise", () => {
  it("is ready when the part is, and stopped when it has stopped", async () => {
    const { part, stop, attempts } = setUp(healthy);
    await part.ready;
    stop.abort(new Error("enough"));
    await part.stopped;
    expect(attempts()).toBe(1);
  });

  it("starts a part again that died, later each time", async () => {
    const { part, clock, stop, attempts } = setUp((signal, attempt) =>
      attempt < 4 ? { name: "part", ready: Promise.reject(new Error("no")), stopped: never } : healthy(signal),
    );
    await clock.advance(0);
    expect(attempts()).toBe(1);
    await clock.advance(500);
    expect(attempts()).toBe(2);
    await clock.advance(500);
    expect(attempts()).toBe(2);
    await clock.advance(500);
    expect(attempts()).toBe(3);
    await clock.advance(2_000);
    await part.ready;
    stop.abort(new Error("enough"));
    await part.stopped;
    expect(attempts()).toBe(4);
  });

  it("stops what a failed attempt left behind", async () => {
    const signals: AbortSignal[] = [];
    const { clock, stop } = setUp((signal, attempt) => {
      signals.push(signal);
      return attempt === 1
        ? { name: "part", ready: Promise.resolve(), stopped: Promise.reject(new Error("crash")) }
        : healthy(signal);
    });
    await clock.advance(0);
    await clock.advance(1_000);
    expect(signals.map((s) => s.aborted)).toEqual([true, false]);
    stop.abort(new Error("enough"));
  });

  it("counts a part that ends by itself as dead", async () => {
    const { clock, stop, attempts } = setUp(() => ({
      name: "part",
      ready: Promise.resolve(),
      stopped: Promise.resolve(),
    }));
    await clock.advance(0);
    await clock.advance(600);
    expect(attempts()).toBe(2);
    stop.abort(new Error("enough"));
  });
});
