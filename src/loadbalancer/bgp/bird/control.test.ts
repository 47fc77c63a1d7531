import { createServer } from "node:net";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { askBird, BirdError, readBfd, readProtocols } from "./control.ts";

/** Asks a socket that answers like BIRD, in the pieces given. */
async function ask(...pieces: readonly string[]): Promise<readonly string[]> {
  const dir = await mkdtemp(join(tmpdir(), "fairlead-bird-"));
  const path = join(dir, "ctl");
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.write("0001 BIRD 2.0.12 ready.\n");
    socket.once("data", () => {
      for (const piece of pieces) socket.write(piece);
      if (pieces.length === 0) socket.end();
    });
  });
  await new Promise<void>((done) => server.listen(path, done));
  try {
    return await askBird(path, "show protocols all");
  } finally {
    server.close();
    await rm(dir, { recursive: true });
  }
}

const protocols = [
  "2002-Name       Proto      Table      State  Since         Info\n",
  "1002-s_0123456789abcdef Static t_x up 2026-11-22 22:11:02.667\n1006-  Channel ipv4\n     Routes:         7 imported, 5 exported, 1 preferred\n \n",
  "1002-b_0123456789abcdef BGP        ---        up     2026-11-22 22:11:02.667  Established\n",
  "1006-  BGP state:          Established\n     Neighbor AS:      64513\n   Channel ipv4\n     Rou",
  "tes:         0 imported, 3 exported, 0 preferred\n \n",
  "1002-b_fedcba9876543210 BGP        ---        start  2026-11-22 22:11:02.667  Active  Socket: Connection refused\n",
  "1006-  BGP state:          Active\n     Last error:       Socket: Connection refused\n \n0000 \n",
];

test("sessions are read as BIRD tells them, however the answer is cut", async () => {
  const expected = new Map([
    ["b_0123456789abcdef", { state: "Established", exported: 3 }],
    ["b_fedcba9876543210", { state: "Active", exported: 0, error: "Socket: Connection refused" }],
  ]);
  expect(readProtocols(await ask(...protocols))).toEqual(expected);
  expect(readProtocols(await ask(...(protocols.join("").match(/[^]{1,7}/g) ?? [])))).toEqual(expected);
});

test("BFD sessions are read", () => {
  const lines = [
    "bfd1:",
    "IP address  Interface  State",
    "10.9.0.254  eth0  Up  2026-11-22 22:11",
    "fd00::1  ---  Init  2026",
  ];
  expect(readBfd(lines)).toEqual(
    new Map([
      ["10.9.0.254", "Up"],
      ["fd00::1", "Down"],
    ]),
  );
});

test.each([
  ["an error", ["8002 bird.conf:3:1 syntax error\n"], /syntax error/],
  ["an end without an answer", [], /closed/],
])("%s is one", async (_, pieces, message) => {
  await expect(ask(...pieces)).rejects.toThrow(message);
  await expect(ask(...pieces)).rejects.toBeInstanceOf(BirdError);
});

test("no socket is an error", async () => {
  await expect(askBird("/nowhere/ctl", "show status")).rejects.toBeInstanceOf(BirdError);
});
