import { expect, test } from "vitest";
import { shareSockets } from "./shared-sockets.ts";
import type { Sockets } from "./sockets.ts";

function fakeSockets() {
  const open = new Map<number, string>();
  let fd = 10;
  const sockets: Sockets = {
    listen(address, port) {
      const name = `${address}:${port}`;
      if ([...open.values()].includes(name)) return Promise.resolve("EADDRINUSE");
      const own = fd++;
      open.set(own, name);
      const actual = port === 0 ? 40_000 + own : port;
      return Promise.resolve({ address, fd: own, port: actual, close: () => void open.delete(own) });
    },
  };
  return { sockets, open };
}

test("two data planes have one socket, which is closed when neither wants it", async () => {
  const { sockets, open } = fakeSockets();
  const shared = shareSockets(sockets);
  const [old, next] = [shared.forOne(), shared.forOne()];
  const first = await old.listen("0.0.0.0", 80);
  const second = await next.listen("0.0.0.0", 80);
  if (typeof first === "string" || typeof second === "string") throw new Error("not opened");
  expect(second.fd).toBe(first.fd);
  first.close();
  first.close();
  expect([...open.values()]).toEqual(["0.0.0.0:80"]);
  second.close();
  expect(open.size).toBe(0);
  expect(await next.listen("0.0.0.0", 80)).toMatchObject({ port: 80 });
});

test("one data plane gets a port once, and another one's error as it is", async () => {
  const { sockets } = fakeSockets();
  const one = shareSockets(sockets).forOne();
  await one.listen("0.0.0.0", 80);
  expect(await one.listen("0.0.0.0", 80)).toBe("EADDRINUSE");
  await sockets.listen("0.0.0.0", 81);
  expect(await one.listen("0.0.0.0", 81)).toBe("EADDRINUSE");
});

test("who rehearses gets a port of loopback that nobody else has", async () => {
  const { sockets, open } = fakeSockets();
  const shared = shareSockets(sockets);
  let rehearsing = true;
  await shared.forOne().listen("0.0.0.0", 80);
  const next = shared.forOne(() => rehearsing);
  expect(await next.listen("0.0.0.0", 80)).toMatchObject({ port: 40_011 });
  expect([...open.values()]).toEqual(["0.0.0.0:80", "127.0.0.1:0"]);
  rehearsing = false;
  expect(await next.listen("0.0.0.0", 80)).toMatchObject({ fd: 10, port: 80 });
});
