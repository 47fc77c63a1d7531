import { describe, expect, it } from "vitest";
import { createInFlight } from "./inflight.ts";

describe("requests in flight", () => {
  it("are bounded, reading and writing apart", () => {
    const inFlight = createInFlight({ reading: 2, mutating: 1 });
    const leave = inFlight.enter(false);
    inFlight.enter(false);
    inFlight.enter(true);
    expect(() => inFlight.enter(true)).toThrow("Too many requests, please try again later.");
    expect(() => inFlight.enter(false)).toThrow();
    leave();
    leave();
    inFlight.enter(false);
    expect(() => inFlight.enter(false)).toThrow();
  });
});
