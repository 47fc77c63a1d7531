import { describe, expect, it } from "vitest";
import type { PacketTrace } from "../packet/packet-trace.ts";
import { compareWithKernel, type Observation } from "./compare.ts";
import { readFlow } from "./flow.ts";
import { readTrace, traceScript } from "./nft-trace.ts";

const packet = (chain: string, to: string, port: number, sport = 41_000) =>
  `trace id d0d679d5 ${chain} packet: iif "c0" ip saddr 10.42.1.2 ip daddr ${to} ip protocol tcp ip length 60 tcp sport ${sport} tcp dport ${port} tcp flags == syn`;

const translated = [
  packet("inet fairlead_trace prerouting", "10.96.0.20", 80),
  "trace id d0d679d5 inet fairlead_trace prerouting policy accept",
  packet("ip fairlead nat-prerouting", "10.96.0.20", 80),
  "trace id d0d679d5 ip fairlead nat-prerouting rule goto services (verdict goto services)",
  packet("inet fw forward", "10.42.2.2", 8080),
  'trace id d0d679d5 inet fw forward rule tcp dport 8080 counter packets 3 bytes 9 drop comment "no (really)" (verdict drop)',
];

const trace: PacketTrace = {
  from: { text: "pod/a", address: "10.42.1.2", class: "pod" },
  to: { text: "service/web", address: "10.96.0.20", port: 80, protocol: "TCP" },
  node: "n1",
  hops: [],
  endpoints: [
    { address: "10.42.2.2", port: 8080, odds: 1, state: "ready", owner: { object: "x", field: "" } },
    { address: "10.42.2.3", port: 8080, odds: 0, state: "ready", why: "not ready", owner: { object: "x", field: "" } },
  ],
  masquerade: false,
  verdict: "forward",
  reason: "",
  otherNodes: [],
  notes: [],
};
const flow = { endpoint: "10.42.2.2", endpointPort: 8080, seenAs: "10.42.1.2" };
const compare = (seen: Partial<Observation>, of: Partial<PacketTrace> = {}) =>
  compareWithKernel({ ...trace, ...of }, { outcome: "connected", unseen: [], ...seen });

describe("readTrace", () => {
  it("follows one connection, and finds what stopped it", () => {
    const noise = packet("ip fairlead nat-prerouting", "10.96.0.9", 80, 5).replaceAll("d0d679d5", "aaaaaaaa");
    const path = readTrace([noise, ...translated].join("\n"), "TCP", 41_000);
    expect(path).toEqual({
      masked: false,
      destination: { address: "10.42.2.2", port: 8080 },
      steps: [
        { table: "ip fairlead", chain: "nat-prerouting", rule: "goto services", verdict: "goto services" },
        { table: "inet fw", chain: "forward", rule: 'tcp dport 8080 drop comment "no (really)"', verdict: "drop" },
      ],
      stop: { table: "inet fw", chain: "forward", rule: 'tcp dport 8080 drop comment "no (really)"', verdict: "drop" },
    });
  });

  it("leaves out what was sent again", () => {
    const path = readTrace([...translated, ...translated].join("\n"), "TCP", 41_000);
    expect(path?.steps).toHaveLength(2);
  });

  it("is undefined for a connection that was not seen", () => {
    expect(readTrace(translated.join("\n"), "TCP", 41_001)).toBeUndefined();
    expect(readTrace("", "TCP", 1)).toBeUndefined();
  });
});

it("traceScript names both families' addresses as nft wants them", () => {
  const script = traceScript({ source: "fd00::1", destination: "fd00::2", protocol: "UDP", port: 53 });
  expect(script).toContain("ip6 saddr fd00::1 ip6 daddr fd00::2 udp dport 53 meta nftrace set 1");
});

it("readFlow takes the half that answers", () => {
  const line =
    "tcp      6 117 SYN_SENT src=127.0.0.1 dst=127.0.0.9 sport=35650 dport=80 [UNREPLIED] src=10.0.0.1 dst=10.0.0.2 sport=81 dport=35650 mark=0 use=1";
  expect(readFlow(line)).toEqual({ endpoint: "10.0.0.1", endpointPort: 81, seenAs: "10.0.0.2" });
  expect(readFlow("0 flow entries have been shown.")).toBeUndefined();
});

describe("compareWithKernel", () => {
  const path = { steps: [], masked: false };
  const stop = { table: "inet fw", chain: "forward", rule: "drop", verdict: "drop" };
  it.each<[string, Partial<Observation>, Partial<PacketTrace>, boolean | undefined, RegExp | undefined]>([
    ["the same", { flow }, {}, true, undefined],
    [
      "an endpoint that is passed over",
      { flow: { ...flow, endpoint: "10.42.2.3" } },
      {},
      false,
      /passes over \(not ready\)/,
    ],
    ["another endpoint", { flow: { ...flow, endpoint: "10.9.9.9" } }, {}, false, /passes over/],
    ["masked and should not be", { flow: { ...flow, seenAs: "10.42.2.1" } }, {}, false, /masked as 10.42.2.1/],
    ["not masked and should be", { flow }, { masquerade: true }, false, /address is kept/],
    ["refused by the endpoint", { flow, outcome: "refused" }, {}, true, /no process listens/],
    ["no rows", { path, outcome: "silent" }, {}, false, /rows of this Service are not there/],
    ["a foreign rule", { path: { ...path, stop }, outcome: "silent" }, {}, false, /not the proxy's stops it/],
    [
      "drop is drop",
      { path: { ...path, stop: { ...stop, table: "ip fairlead" } }, outcome: "silent" },
      { verdict: "drop" },
      true,
      undefined,
    ],
    ["reject is refused", { path, outcome: "refused" }, { verdict: "reject" }, true, undefined],
    ["reject is forwarded", { flow }, { verdict: "reject" }, false, /was sent to 10.42.2.2/],
    ["straight, and someone translates", { flow }, { verdict: "direct" }, false, /someone translates/],
    ["nothing seen", { outcome: "silent" }, {}, undefined, undefined],
  ])("%s", (_, seen, of, agrees, finding) => {
    const found = compare(seen, of);
    expect(found.agrees).toBe(agrees);
    if (finding) expect(found.findings.join("\n")).toMatch(finding);
    else expect(found.findings).toEqual([]);
  });
});
