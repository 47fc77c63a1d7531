import { expect, test } from "vitest";
import { readAdvertised, readBfdPeers, readNeighbors } from "./answers.ts";

// As bgpd and bfdd 8.4.4 answer, but for what is not read.
const view = (name: string, address: string, more: object) => ({
  [name]: { vrfId: 0, vrfName: name, [address]: more },
});

test("sessions are read as bgpd tells them, by their view", () => {
  const up = {
    remoteAs: 64_513,
    bgpState: "Established",
    messageStats: { updatesSent: 3 },
    addressFamilyInfo: { ipv4Unicast: { sentPrefixCounter: 1 } },
    lastNotificationReason: "Cease/Unspecific",
    lastResetDueTo: "BGP Notification received",
  };
  const down = { bgpState: "Connect", lastResetDueTo: "No AFI/SAFI activated for peer", messageStats: {} };
  const answer = {
    ...view("b_0123456789abcdef", "10.3.0.2", up),
    ...view("b_fedcba9876543210", "fd00::2", down),
    ...view("default", "10.3.0.3", up),
  };
  expect(readNeighbors(answer)).toEqual(
    new Map([
      [
        "b_0123456789abcdef",
        {
          address: "10.3.0.2",
          family: "ipv4",
          spoken: { state: "Established", error: "Cease/Unspecific", exported: 1 },
          updates: 3,
        },
      ],
      // It has not been up: there is no error to tell.
      [
        "b_fedcba9876543210",
        { address: "fd00::2", family: "ipv6", spoken: { state: "Connect", exported: 0 }, updates: 0 },
      ],
    ]),
  );
});

test("prefixes and ways are read", () => {
  const advertised = { bgpTableVersion: 1, advertisedRoutes: { "192.0.2.11/32": {}, "192.0.2.10/32": {} } };
  expect(readAdvertised(advertised)).toEqual(["192.0.2.10/32", "192.0.2.11/32"]);
  const peers = [
    { multihop: false, peer: "10.3.0.2", status: "up" },
    { peer: "fd00:0::2", status: "init" },
  ];
  expect(readBfdPeers(peers)).toEqual(
    new Map([
      ["10.3.0.2", "Up"],
      ["fd00::2", "Down"],
    ]),
  );
});

test.each([undefined, null, [], "no", { b_0123456789abcdef: null }, { b_0123456789abcdef: { "10.0.0.1": 1 } }])(
  "what is something else, as %j, is nothing or Idle, and no error",
  (answer) => {
    expect([...readNeighbors(answer).values()].every(({ spoken }) => spoken.state === "Idle")).toBe(true);
    expect(readAdvertised(answer)).toEqual([]);
    expect(readBfdPeers(answer).size).toBe(0);
  },
);
