import { describe, expect, test } from "vitest";
import { FakeClock } from "../../system/index.ts";
import { createListener } from "./listener.ts";

/** Opens a port only when `refusal` gives no error code for it. */
function listen(port: number, refusal: (port: number) => string | undefined) {
  const clock = new FakeClock();
  const stop = new AbortController();
  const opened: number[] = [];
  const closed: number[] = [];
  const open = async ({ port: at }: { port: number }) => {
    await Promise.resolve();
    const code = refusal(at);
    if (code) throw Object.assign(new Error(code), { code });
    opened.push(at);
    return { refresh() {}, close: () => closed.push(at) };
  };
  const address = "127.96.0.1";
  const listener = createListener({ address, port, open, report() {}, signal: stop.signal, clock });
  return { listener, clock, stop, opened, closed };
}

describe("a listener", () => {
  test("opens the port it is asked for", async () => {
    const { listener } = listen(80, () => undefined);
    await listener.tried;
    expect(listener).toMatchObject({ actualPort: 80, problem: undefined });
  });

  test("opens the port 8000 higher when it may not open one below 1024", async () => {
    const { listener } = listen(443, (port) => (port < 1024 ? "EACCES" : undefined));
    await listener.tried;
    expect(listener).toMatchObject({ actualPort: 8443, problem: undefined });
  });

  test("has no such way out above 1024", async () => {
    const { listener } = listen(5000, () => "EACCES");
    await listener.tried;
    expect(listener).toMatchObject({ actualPort: undefined, problem: "this user may not open this port" });
  });

  test("says what is in the way, keeps trying, and stops trying when closed", async () => {
    let free = false;
    const { listener, clock, opened, closed } = listen(80, () => (free ? undefined : "EADDRINUSE"));
    await listener.tried;
    expect(listener.problem).toBe("another program uses this address and port");
    await clock.advance(5_000);
    expect(opened).toEqual([]);
    free = true;
    await clock.advance(10_000);
    expect(listener).toMatchObject({ actualPort: 80, problem: undefined });
    listener.close();
    expect(closed).toEqual([80]);
  });

  test("one that is closed while it opens does not stay open", async () => {
    const { listener, opened, closed } = listen(80, () => undefined);
    listener.close();
    await listener.tried;
    expect(closed).toEqual(opened);
  });
});
