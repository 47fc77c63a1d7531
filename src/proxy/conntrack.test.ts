import { describe, expect, test } from "vitest";
import { parseFlows, staleFlows } from "./conntrack.ts";

const listing = `udp      17 29 src=10.42.1.2 dst=10.96.0.10 sport=5353 dport=53 src=10.42.2.2 dst=10.42.1.2 sport=8053 dport=5353 mark=0 use=1
udp      17 29 src=10.42.1.2 dst=10.96.0.10 sport=5354 dport=53 [UNREPLIED] src=10.42.2.3 dst=10.42.1.2 sport=8053 dport=5354 mark=0 use=1
udp      17 10 src=192.0.2.9 dst=192.0.2.1 sport=5000 dport=30053 src=10.42.2.3 dst=10.42.2.1 sport=8053 dport=5000 mark=0 use=1
udp      17 10 src=192.0.2.9 dst=8.8.8.8 sport=5000 dport=30053 src=8.8.8.8 dst=192.0.2.9 sport=30053 dport=5000 mark=0 use=1
udp      17 10 src=192.0.2.9 dst=203.0.113.1 sport=5000 dport=30053 src=172.17.0.2 dst=192.0.2.9 sport=53 dport=5000 mark=0 use=1
udp      17 10 src=192.0.2.9 dst=192.0.2.1 sport=5001 dport=30054 src=192.0.2.1 dst=192.0.2.9 sport=30054 dport=5001 mark=0 use=1
udp      17 10 src=10.42.1.2 dst=10.96.0.77 sport=1 dport=9 [UNREPLIED] src=10.96.0.77 dst=10.42.1.2 sport=9 dport=1 mark=0 use=1
conntrack v1.4.7 (conntrack-tools): 5 flow entries have been shown.`;

const stale = (allowed: Record<string, string[]>, gone: string[] = []) =>
  staleFlows(
    parseFlows(listing),
    {
      allowed: new Map(Object.entries(allowed).map(([frontend, endpoints]) => [frontend, new Set(endpoints)])),
      gone: new Set(gone),
    },
    "IPv4",
    new Set(["192.0.2.1"]),
  ).map(({ destination, port, replySource }) => `${destination}:${port} ${replySource}`);

describe("UDP flows", () => {
  test("those to endpoints that are there are kept", () => {
    expect(stale({ "10.96.0.10 53": ["10.42.2.2", "10.42.2.3"], "IPv4 30053": ["10.42.2.3"] })).toEqual([]);
  });

  test("those to an endpoint that has gone are stale, over its address and over its NodePort", () => {
    expect(stale({ "10.96.0.10 53": ["10.42.2.2"], "IPv4 30053": ["10.42.2.2"] })).toEqual([
      "10.96.0.10:53 10.42.2.3",
      "192.0.2.1:30053 10.42.2.3",
    ]);
  });

  test("all are stale when no endpoint is left, or the Service is gone", () => {
    expect(stale({ "10.96.0.10 53": [] })).toHaveLength(2);
    expect(stale({}, ["10.96.0.10 53", "IPv4 30053"])).toEqual([
      "10.96.0.10:53 10.42.2.2",
      "10.96.0.10:53 10.42.2.3",
      "192.0.2.1:30053 10.42.2.3",
    ]);
  });

  test("one that was not translated, because it began before its Service, is stale", () => {
    expect(stale({ "10.96.0.77 9": ["10.42.2.2"] })).toEqual(["10.96.0.77:9 10.96.0.77"]);
    expect(stale({ "IPv4 30054": ["10.42.2.2"] })).toEqual(["192.0.2.1:30054 192.0.2.1"]);
  });

  test("those of others are none of ours, even with a NodePort's number", () => {
    expect(stale({ "IPv4 30053": ["10.42.2.3"] })).toEqual([]);
    expect(stale({ "10.96.0.99 1": [] })).toEqual([]);
    // What another program leads elsewhere from another address, and a server of the node whose number was a NodePort.
    expect(stale({ "IPv4 30053": [] })).toEqual(["192.0.2.1:30053 10.42.2.3"]);
    expect(stale({}, ["IPv4 30054"])).toEqual([]);
  });
});
