import type { Draft, EndpointSlice, Service } from "../../src/kube/index.ts";
import type { Family, Protocol } from "../../src/services/index.ts";
import { addressesOf } from "./field.ts";

/** Who sends: a pod of this node, this node itself, a machine outside, a pod of the other node, the other node. */
export type Sender = "pod" | "node" | "outside" | "remotePod" | "otherNode" | "itself";

/**
 * What is to happen. Pods are named `l0`, `l1`... on this node and `r0`... on the other; `kept` and `masked` say whose address they
 * see. `elsewhere`: the packet is none of the proxy's, and the machine that has the address answers.
 */
export type Outcome =
  | { readonly pods: string; readonly source: "kept" | "masked"; readonly sticky?: boolean; readonly port?: number }
  | "refused"
  | "silent"
  | "elsewhere";

export interface Packet {
  readonly from: Sender;
  readonly to: string;
  readonly port?: number;
  readonly protocol?: Protocol;
  readonly gives: Outcome;
  /** The field that the model must name first. */
  readonly because?: string;
  /** What user space does in place of that, where it can not do the same. */
  readonly userspace?: Outcome;
}

export interface Step {
  readonly objects: readonly (Draft<Service> | Draft<EndpointSlice>)[];
  /** Names of Services and slices that go. */
  readonly gone?: readonly string[];
  readonly packets: readonly Packet[];
}

/** What the node is told beside objects; cases with the same settings run in one cluster. */
export interface Settings {
  readonly zone?: string;
  readonly podInterfaces?: readonly string[];
  readonly noDetector?: boolean;
  readonly masqueradeAll?: boolean;
  readonly nodePortAddresses?: readonly string[];
}

export interface Case {
  /** Of the reference of Service semantics, 1 to 58. */
  readonly row: number;
  readonly name: string;
  readonly settings?: Settings;
  readonly steps: (kit: Kit) => readonly Step[];
}

type EndpointOptions = Partial<NonNullable<EndpointSlice["endpoints"]>[number]>;

/** Objects and addresses of one case in one family, as one of the nodes sees them: no other case has them. */
export function createKit(index: number, family: Family, seenFrom: 1 | 2 = 1) {
  const at = addressesOf(family, seenFrom);
  const nodeOf = (pod: string) => `node${pod.startsWith("l") ? seenFrom : 3 - seenFrom}`;
  const hex = index.toString(16);
  const name = `case-${index}`;
  const pick = (four: string, six: string) => (family === "IPv4" ? four : six);
  const vip = (n = 0) => pick(`10.96.${n + 1}.${index}`, `fd96::${n + 1}:${hex}`);
  const lb = (n = 0) => pick(`10.97.${n}.${index}`, `fd97::${n + 1}:${hex}`);
  const external = pick(`203.0.113.${index}`, `2001:db8:113::${hex}`);
  const nodePort = 30_000 + index;
  const other: Family = family === "IPv4" ? "IPv6" : "IPv4";
  return {
    family,
    seenFrom,
    at,
    nodeOf,
    name,
    vip,
    lb,
    external,
    nodePort,
    /** A Service of type ClusterIP with port 80. `lb` gives it load-balancer addresses. */
    service(
      spec: Partial<Service["spec"]> = {},
      rest: {
        labels?: Record<string, string>;
        lb?: { ip: string; ipMode?: string }[];
        annotations?: Record<string, string>;
        name?: string;
      } = {},
    ): Draft<Service> {
      const exposed = spec.type === "NodePort" || spec.type === "LoadBalancer";
      return {
        apiVersion: "v1",
        kind: "Service",
        metadata: {
          namespace: "default",
          name: rest.name ?? name,
          ...(rest.labels ? { labels: rest.labels } : {}),
          ...(rest.annotations ? { annotations: rest.annotations } : {}),
        },
        spec: {
          type: "ClusterIP",
          clusterIP: vip(),
          clusterIPs: [vip()],
          ipFamilies: [family],
          ports: [{ port: 80, protocol: "TCP", ...(exposed ? { nodePort } : {}) }],
          ...spec,
        },
        ...(rest.lb ? { status: { loadBalancer: { ingress: rest.lb } } } : {}),
      };
    },
    /** A slice of pods, `"l0 r1"`, that are ready on their nodes unless `of` says otherwise. */
    slice(
      pods: string,
      options: {
        suffix?: string;
        port?: number;
        protocol?: string;
        portName?: string;
        of?: EndpointOptions | ((pod: string) => EndpointOptions);
        service?: string;
        addressType?: string;
        addresses?: string[];
      } = {},
    ): Draft<EndpointSlice> {
      const { suffix = "a", port = 8080, protocol = "TCP", portName = "", of = {}, service = name } = options;
      const names = pods.split(" ").filter((pod) => pod !== "");
      return {
        apiVersion: "discovery.k8s.io/v1",
        kind: "EndpointSlice",
        metadata: {
          namespace: "default",
          name: `${service}-${suffix}`,
          labels: { "kubernetes.io/service-name": service },
        },
        addressType: options.addressType ?? family,
        endpoints: [
          ...names.map((pod) => ({
            addresses: [at.pod(pod)],
            nodeName: nodeOf(pod),
            conditions: { ready: true },
            ...(typeof of === "function" ? of(pod) : of),
          })),
          ...(options.addresses ?? []).map((address) => ({ addresses: [address], conditions: { ready: true } })),
        ],
        ports: [{ name: portName, port, protocol }],
      };
    },
    other: { family: other, at: addressesOf(other, seenFrom) },
  };
}
export type Kit = ReturnType<typeof createKit>;

export const to = (
  pods: string,
  source: "kept" | "masked",
  rest: { sticky?: boolean; port?: number } = {},
): Outcome => ({
  pods,
  source,
  ...rest,
});

/** The same packets from several senders. */
const from = (senders: readonly Sender[], packet: Omit<Packet, "from">): Packet[] =>
  senders.map((one) => ({ ...packet, from: one }));

const terminating = { conditions: { ready: false, serving: true, terminating: true } };
const ended = { conditions: { ready: false, serving: false, terminating: true } };
const unready = { conditions: { ready: false, serving: false, terminating: false } };
const hints = (zone: string, node?: string) => ({
  hints: { forZones: [{ name: zone }], ...(node ? { forNodes: [{ name: node }] } : {}) },
});
const everyone: readonly Sender[] = ["pod", "node", "outside"];
const proxyName = "service.kubernetes.io/service-proxy-name";

export const cases: readonly Case[] = [
  {
    row: 1,
    name: "a cluster IP leads to every ready endpoint",
    steps: (k) => [
      {
        objects: [k.service(), k.slice("l0 r0")],
        packets: [
          { from: "pod", to: k.vip(), gives: to("l0 r0", "kept"), because: "spec.internalTrafficPolicy" },
          ...from(["node", "outside"], { to: k.vip(), gives: to("l0 r0", "masked") }),
        ],
      },
    ],
  },
  {
    row: 3,
    name: "the label headless takes the cluster IP away, and its removal brings it back",
    steps: (k) => [
      {
        objects: [k.service({}, { labels: { "service.kubernetes.io/headless": "" } }), k.slice("l0")],
        packets: [{ from: "pod", to: k.vip(), gives: "refused" }],
      },
      { objects: [k.service()], packets: [{ from: "pod", to: k.vip(), gives: to("l0", "kept") }] },
    ],
  },
  {
    row: 4,
    name: "a Service with a proxy name is another proxy's, its external addresses too",
    steps: (k) => [
      {
        objects: [k.service({ externalIPs: [k.external] }, { labels: { [proxyName]: "other" } }), k.slice("l0")],
        packets: [{ from: "pod", to: k.vip(), gives: "refused" }],
      },
      {
        objects: [k.service({ externalIPs: [k.external] })],
        packets: [
          { from: "pod", to: k.vip(), gives: to("l0", "kept") },
          { from: "outside", to: k.external, gives: to("l0", "masked") },
        ],
      },
    ],
  },
  {
    row: 5,
    name: "a NodePort on every address of the node, one number for two protocols",
    steps: (k) => [
      {
        objects: [
          k.service({
            type: "NodePort",
            ports: [
              { name: "t", port: 80, protocol: "TCP", nodePort: k.nodePort },
              { name: "u", port: 80, protocol: "UDP", nodePort: k.nodePort },
            ],
          }),
          k.slice("l0", { portName: "t", suffix: "t" }),
          k.slice("l1", { portName: "u", suffix: "u", protocol: "UDP" }),
        ],
        packets: [k.at.node1, k.at.node1Link].flatMap((address) => [
          ...from([...everyone, "remotePod", "otherNode"], {
            to: address,
            port: k.nodePort,
            gives: to("l0", "masked"),
          }),
          ...from(["pod", "outside"], { to: address, port: k.nodePort, protocol: "UDP", gives: to("l1", "masked") }),
        ]),
      },
    ],
  },
  {
    row: 9,
    name: "a load-balancer address is served by the node itself",
    steps: (k) => [
      {
        objects: [k.service({ type: "LoadBalancer" }, { lb: [{ ip: k.lb() }] }), k.slice("l0 r0")],
        packets: from([...everyone, "remotePod"], { to: k.lb(), gives: to("l0 r0", "masked") }),
      },
    ],
  },
  {
    row: 9,
    name: "a port that no Service has on a load-balancer address is refused",
    steps: (k) => [
      {
        objects: [k.service({ type: "LoadBalancer" }, { lb: [{ ip: k.lb() }] }), k.slice("l0")],
        packets: [
          ...from(everyone, { to: k.lb(), port: 81, gives: "refused", because: "status.loadBalancer.ingress" }),
          { from: "outside", to: k.lb(), port: 80, protocol: "UDP", gives: "refused" },
        ],
      },
    ],
  },
  {
    row: 10,
    name: "with ipMode Proxy the address is left to the load balancer, its NodePort works",
    steps: (k) => [
      {
        objects: [
          k.service({ type: "LoadBalancer" }, { lb: [{ ip: k.at.elsewhere, ipMode: "Proxy" }] }),
          k.slice("l0"),
        ],
        packets: [
          { from: "pod", to: k.at.elsewhere, gives: "elsewhere" },
          { from: "outside", to: k.at.node1, port: k.nodePort, gives: to("l0", "masked") },
        ],
      },
      {
        objects: [k.service({ type: "LoadBalancer" }, { lb: [{ ip: k.lb(), ipMode: "VIP" }] })],
        packets: [
          { from: "pod", to: k.at.elsewhere, gives: "elsewhere" },
          { from: "pod", to: k.lb(), gives: to("l0", "masked") },
        ],
      },
    ],
  },
  {
    row: 14,
    name: "source ranges guard the load-balancer address, neither NodePort nor external address nor cluster IP",
    steps: (k) => [
      {
        objects: [
          k.service(
            {
              type: "LoadBalancer",
              externalIPs: [k.external],
              loadBalancerSourceRanges: [`${k.at.outside}/${k.family === "IPv4" ? 32 : 128}`],
            },
            { lb: [{ ip: k.lb() }] },
          ),
          k.slice("l0"),
        ],
        packets: [
          { from: "outside", to: k.lb(), gives: to("l0", "masked"), userspace: to("l0", "masked") },
          ...from(["pod", "remotePod"], { to: k.lb(), gives: "silent", because: "spec.loadBalancerSourceRanges" }),
          ...from(["pod", "outside"], { to: k.external, gives: to("l0", "masked") }),
          { from: "pod", to: k.at.node1, port: k.nodePort, gives: to("l0", "masked") },
          { from: "pod", to: k.vip(), gives: to("l0", "kept") },
        ],
      },
      {
        objects: [k.service({ type: "LoadBalancer", externalIPs: [k.external] }, { lb: [{ ip: k.lb() }] })],
        packets: from(everyone, { to: k.lb(), gives: to("l0", "masked") }),
      },
    ],
  },
  {
    row: 14,
    name: "ranges with an address of the node let the node in; nested and doubled ranges are one",
    steps: (k) => {
      const whole = k.family === "IPv4" ? k.at.node1.replace(/1$/, "0/24") : k.at.node1.replace(/1$/, "/64");
      const half = `${k.at.node1}/${k.family === "IPv4" ? 25 : 112}`;
      return [
        {
          objects: [
            k.service(
              { type: "LoadBalancer", loadBalancerSourceRanges: [half, whole, whole] },
              { lb: [{ ip: k.lb() }] },
            ),
            k.slice("l0"),
          ],
          packets: [
            ...from(["node", "outside"], { to: k.lb(), gives: to("l0", "masked") }),
            { from: "pod", to: k.lb(), gives: "silent" },
          ],
        },
      ];
    },
  },
  {
    row: 15,
    name: "an external address that is on no node",
    steps: (k) => [
      {
        objects: [k.service({ externalIPs: [k.external] }), k.slice("l0 r0")],
        packets: from(everyone, { to: k.external, gives: to("l0 r0", "masked") }),
      },
      {
        objects: [k.service({ externalIPs: [k.external], externalTrafficPolicy: "Local" })],
        packets: [
          { from: "outside", to: k.external, gives: to("l0", "kept") },
          { from: "pod", to: k.external, gives: to("l0 r0", "kept") },
        ],
      },
    ],
  },
  {
    row: 16,
    name: "to ExternalName and back",
    steps: (k) => [
      { objects: [k.service(), k.slice("l0")], packets: [{ from: "pod", to: k.vip(), gives: to("l0", "kept") }] },
      {
        objects: [
          {
            ...k.service(),
            spec: { type: "ExternalName", externalName: "example.org", ports: [{ port: 80, protocol: "TCP" }] },
          },
        ],
        packets: [{ from: "pod", to: k.vip(), gives: "refused" }],
      },
      { objects: [k.service()], packets: [{ from: "pod", to: k.vip(), gives: to("l0", "kept") }] },
    ],
  },
  {
    row: 17,
    name: "TCP and UDP on one load-balancer address",
    steps: (k) => [
      {
        objects: [
          k.service(
            {
              type: "LoadBalancer",
              allocateLoadBalancerNodePorts: false,
              ports: [
                { name: "t", port: 80, protocol: "TCP" },
                { name: "u", port: 80, protocol: "UDP" },
              ],
            },
            { lb: [{ ip: k.lb() }] },
          ),
          k.slice("l0", { portName: "t", suffix: "t" }),
          k.slice("l1", { portName: "u", suffix: "u", protocol: "UDP" }),
        ],
        packets: [
          { from: "outside", to: k.lb(), gives: to("l0", "masked") },
          { from: "outside", to: k.lb(), protocol: "UDP", gives: to("l1", "masked") },
        ],
      },
    ],
  },
  {
    row: 19,
    name: "a named target port that is another number in each slice",
    steps: (k) => [
      {
        objects: [
          k.service({ ports: [{ name: "web", port: 80, protocol: "TCP", targetPort: "web" }] }),
          k.slice("l0", { portName: "web", port: 8080 }),
          k.slice("l1", { portName: "web", port: 8081, suffix: "b" }),
        ],
        packets: [{ from: "pod", to: k.vip(), gives: to("l0 l1", "kept") }],
      },
    ],
  },
  {
    row: 20,
    name: "addresses in other than their one form",
    steps: (k) => {
      const odd =
        k.family === "IPv4"
          ? k.at.pod("l0").replace(/\d+/g, (part) => part.padStart(3, "0"))
          : k.at.pod("l0").replace("fd42", "FD42").replace("::2", ":0::0002");
      return [
        {
          objects: [k.service(), k.slice("", { addresses: [odd] })],
          packets: [{ from: "pod", to: k.vip(), gives: to("l0", "kept") }],
        },
      ];
    },
  },
  {
    row: 21,
    name: "a Service whose name begins with a digit",
    steps: (k) => [
      {
        objects: [k.service({}, { name: `1-${k.name}` }), k.slice("l0", { service: `1-${k.name}` })],
        packets: [{ from: "pod", to: k.vip(), gives: to("l0", "kept") }],
      },
    ],
  },
  {
    row: 24,
    name: "families are apart: slices of the other family and of names are not looked at",
    steps: (k) => [
      {
        objects: [
          k.service(),
          k.slice("", { addressType: k.other.family, addresses: [k.other.at.local(0)], suffix: "other" }),
          k.slice("", { addressType: "FQDN", addresses: ["example.org"], suffix: "name" }),
          k.slice("", { addresses: [k.other.at.local(1)], suffix: "wrong" }),
        ],
        packets: [{ from: "pod", to: k.vip(), gives: "refused" }],
      },
      { objects: [k.slice("l0")], packets: [{ from: "pod", to: k.vip(), gives: to("l0", "kept") }] },
    ],
  },
  {
    row: 23,
    name: "a second family comes and goes, and each has its own endpoints",
    steps: (k) => {
      const second = k.family === "IPv4" ? `fd96::ff:${k.name.slice(5)}` : `10.96.99.${k.name.slice(5)}`;
      const mine = [
        k.slice("l0"),
        k.slice("", { suffix: "b", addressType: k.other.family, addresses: [k.other.at.local(1)] }),
      ];
      const dual = { clusterIPs: [k.vip(), second], ipFamilies: [k.family, k.other.family] };
      return [
        {
          objects: [k.service(), ...mine],
          packets: [{ from: "pod", to: k.vip(), gives: to("l0", "kept") }],
        },
        {
          objects: [k.service(dual)],
          packets: [
            { from: "pod", to: k.vip(), gives: to("l0", "kept") },
            { from: "pod", to: second, gives: to("l1", "kept") },
          ],
        },
        {
          objects: [k.service()],
          packets: [
            { from: "pod", to: k.vip(), gives: to("l0", "kept") },
            { from: "pod", to: second, gives: "refused" },
          ],
        },
      ];
    },
  },
  {
    row: 26,
    name: "ports that a cluster IP does not have, and addresses that no Service has, are refused",
    steps: (k) => [
      {
        objects: [k.service(), k.slice("l0")],
        packets: [
          ...from(everyone, { to: k.vip(), port: 81, gives: "refused" }),
          { from: "pod", to: k.vip(), protocol: "UDP", gives: "refused" },
          { from: "pod", to: k.vip(9), gives: "refused", because: "spec.clusterIPs" },
        ],
      },
    ],
  },
  {
    row: 27,
    name: "externalTrafficPolicy Cluster: every endpoint, masked",
    steps: (k) => [
      {
        objects: [
          k.service({ type: "LoadBalancer", externalTrafficPolicy: "Cluster" }, { lb: [{ ip: k.lb() }] }),
          k.slice("r0"),
        ],
        packets: [
          ...from([...everyone, "remotePod"], { to: k.lb(), gives: to("r0", "masked") }),
          ...from([...everyone, "otherNode"], { to: k.at.node1, port: k.nodePort, gives: to("r0", "masked") }),
        ],
      },
    ],
  },
  {
    row: 28,
    name: "externalTrafficPolicy Local: endpoints of this node, and the client's own address",
    steps: (k) => [
      {
        objects: [
          k.service({ type: "LoadBalancer", externalTrafficPolicy: "Local" }, { lb: [{ ip: k.lb() }] }),
          k.slice("l0 r0"),
        ],
        packets: [
          { from: "outside", to: k.lb(), gives: to("l0", "kept"), because: "spec.externalTrafficPolicy" },
          { from: "outside", to: k.at.node1, port: k.nodePort, gives: to("l0", "kept") },
          { from: "otherNode", to: k.at.node1Link, port: k.nodePort, gives: to("l0", "kept") },
        ],
      },
    ],
  },
  {
    row: 29,
    name: "clients within the cluster reach every endpoint under Local: pods as themselves, the node masked",
    steps: (k) => [
      {
        objects: [
          k.service({ type: "LoadBalancer", externalTrafficPolicy: "Local" }, { lb: [{ ip: k.lb() }] }),
          k.slice("l0 r0"),
        ],
        packets: [
          { from: "pod", to: k.lb(), gives: to("l0 r0", "kept") },
          { from: "node", to: k.lb(), gives: to("l0 r0", "masked") },
          { from: "pod", to: k.at.node1, port: k.nodePort, gives: to("l0 r0", "kept") },
          { from: "node", to: k.at.node1, port: k.nodePort, gives: to("l0 r0", "masked") },
        ],
      },
    ],
  },
  {
    row: 30,
    name: "internalTrafficPolicy Local: endpoints of this node, silence without one",
    steps: (k) => [
      {
        objects: [k.service({ internalTrafficPolicy: "Local" }), k.slice("l0 r0")],
        packets: [
          { from: "pod", to: k.vip(), gives: to("l0", "kept"), because: "spec.internalTrafficPolicy" },
          { from: "node", to: k.vip(), gives: to("l0", "masked") },
        ],
      },
      {
        objects: [k.slice("r0")],
        packets: from(["pod", "node"], {
          to: k.vip(),
          gives: "silent",
          because: "spec.internalTrafficPolicy",
          userspace: "refused",
        }),
      },
    ],
  },
  {
    row: 31,
    name: "no endpoint anywhere: refused at every address, for TCP and UDP",
    steps: (k) => {
      const ports = [
        { name: "t", port: 80, protocol: "TCP", nodePort: k.nodePort },
        { name: "u", port: 80, protocol: "UDP", nodePort: k.nodePort },
      ];
      const object = k.service({ type: "LoadBalancer", externalIPs: [k.external], ports }, { lb: [{ ip: k.lb() }] });
      const packets = (["TCP", "UDP"] as const).flatMap((protocol) => [
        ...from(everyone, { to: k.vip(), protocol, gives: "refused", because: "endpoints" }),
        ...from(["pod", "outside"], { to: k.lb(), protocol, gives: "refused" }),
        ...from(["pod", "outside"], { to: k.external, protocol, gives: "refused" }),
        ...from(everyone, { to: k.at.node1, port: k.nodePort, protocol, gives: "refused" }),
      ]);
      return [
        { objects: [object], packets },
        {
          objects: [
            k.slice("l0", { portName: "t", of: unready }),
            k.slice("l0", { portName: "u", suffix: "u", protocol: "UDP", of: unready }),
          ],
          packets,
        },
      ];
    },
  },
  {
    row: 32,
    name: "externalTrafficPolicy Local, endpoints on other nodes only: silence for those outside",
    steps: (k) => [
      {
        objects: [
          k.service({ type: "LoadBalancer", externalTrafficPolicy: "Local" }, { lb: [{ ip: k.lb() }] }),
          k.slice("r0"),
        ],
        packets: [
          ...from(["outside"], { to: k.lb(), gives: "silent", userspace: "refused" }),
          { from: "outside", to: k.at.node1, port: k.nodePort, gives: "silent", userspace: "refused" },
          { from: "pod", to: k.lb(), gives: to("r0", "kept") },
          { from: "node", to: k.lb(), gives: to("r0", "masked") },
        ],
      },
    ],
  },
  {
    row: 33,
    name: "conditions that are not there: ready and serving, not terminating",
    steps: (k) => [
      {
        objects: [
          k.service(),
          k.slice("l0 l1 l2", {
            of: (pod) => (pod === "l0" ? { conditions: {} } : pod === "l1" ? { conditions: { ready: false } } : {}),
          }),
        ],
        packets: [{ from: "pod", to: k.vip(), gives: to("l0 l2", "kept") }],
      },
    ],
  },
  {
    row: 34,
    name: "publishNotReadyAddresses: what slices call ready is used, even while it ends",
    steps: (k) => [
      {
        objects: [
          k.service({ publishNotReadyAddresses: true }),
          k.slice("l0", { of: { conditions: { ready: true, serving: false, terminating: true } } }),
        ],
        packets: [{ from: "pod", to: k.vip(), gives: to("l0", "kept") }],
      },
      { objects: [k.slice("l0", { of: ended })], packets: [{ from: "pod", to: k.vip(), gives: "refused" }] },
    ],
  },
  {
    row: 35,
    name: "endpoints that serve while they terminate are used when none is ready, in each scope by itself",
    steps: (k) => [
      {
        objects: [
          k.service({ type: "LoadBalancer", externalTrafficPolicy: "Local" }, { lb: [{ ip: k.lb() }] }),
          k.slice("l0 l1 r0", { of: (pod) => (pod === "l0" ? terminating : pod === "l1" ? ended : {}) }),
        ],
        packets: [
          { from: "outside", to: k.lb(), gives: to("l0", "kept") },
          { from: "pod", to: k.lb(), gives: to("r0", "kept") },
          { from: "pod", to: k.vip(), gives: to("r0", "kept") },
        ],
      },
      {
        objects: [k.slice("l0 l1 r0", { of: (pod) => (pod === "l1" ? ended : terminating) })],
        packets: [{ from: "pod", to: k.vip(), gives: to("l0 r0", "kept") }],
      },
    ],
  },
  {
    row: 36,
    name: "zone hints are followed when every ready endpoint has them and one is for this zone",
    settings: { zone: "a" },
    steps: (k) => [
      {
        objects: [k.service(), k.slice("l0 r0 r1", { of: (pod) => hints(pod === "r0" ? "a" : "b") })],
        packets: [{ from: "pod", to: k.vip(), gives: to("r0", "kept") }],
      },
      {
        objects: [k.slice("l0 r0", { of: (pod) => (pod === "r0" ? hints("a") : {}) })],
        packets: [{ from: "pod", to: k.vip(), gives: to("l0 r0", "kept") }],
      },
      {
        objects: [k.slice("l0 r0", { of: hints("c") })],
        packets: [{ from: "pod", to: k.vip(), gives: to("l0 r0", "kept") }],
      },
      {
        // Only ready ones count, and those that terminate are used wherever they are.
        objects: [
          k.slice("l0 r0 r1", { of: (pod) => (pod === "l0" ? { ...unready } : hints(pod === "r0" ? "a" : "b")) }),
        ],
        packets: [{ from: "pod", to: k.vip(), gives: to("r0", "kept") }],
      },
      {
        objects: [k.slice("l0 r0", { of: (pod) => ({ ...terminating, ...hints(pod === "l0" ? "a" : "b") }) })],
        packets: [{ from: "pod", to: k.vip(), gives: to("l0 r0", "kept") }],
      },
    ],
  },
  {
    row: 36,
    name: "hints are not looked at on a node without a zone, nor under policy Local",
    steps: (k) => [
      {
        objects: [k.service(), k.slice("l0 r0", { of: (pod) => hints(pod === "l0" ? "a" : "b") })],
        packets: [{ from: "pod", to: k.vip(), gives: to("l0 r0", "kept") }],
      },
      {
        objects: [k.service({ internalTrafficPolicy: "Local" }), k.slice("l0 r0", { of: hints("b") })],
        packets: [{ from: "pod", to: k.vip(), gives: to("l0", "kept") }],
      },
    ],
  },
  {
    row: 37,
    name: "trafficDistribution PreferSameNode: this node, else this zone, else all",
    settings: { zone: "a" },
    steps: (k) => {
      const of = (pod: string) => hints(pod === "r1" ? "b" : "a", k.nodeOf(pod));
      return [
        {
          objects: [k.service({ trafficDistribution: "PreferSameNode" }), k.slice("l0 r0 r1", { of })],
          packets: [{ from: "pod", to: k.vip(), gives: to("l0", "kept") }],
        },
        { objects: [k.slice("r0 r1", { of })], packets: [{ from: "pod", to: k.vip(), gives: to("r0", "kept") }] },
        { objects: [k.slice("r1", { of })], packets: [{ from: "pod", to: k.vip(), gives: to("r1", "kept") }] },
      ];
    },
  },
  {
    row: 39,
    name: "slices are merged, and an endpoint in two of them is one",
    steps: (k) => [
      {
        objects: [
          k.service(),
          k.slice("l0 l1"),
          k.slice("l1 r0", { suffix: "b", of: (pod) => (pod === "l1" ? unready : {}) }),
          k.slice("l1", { suffix: "c" }),
        ],
        packets: [{ from: "pod", to: k.vip(), gives: to("l0 l1 r0", "kept") }],
      },
      {
        objects: [],
        gone: [`${k.name}-a`],
        packets: [{ from: "pod", to: k.vip(), gives: to("l1 r0", "kept") }],
      },
    ],
  },
  {
    row: 41,
    name: "sessionAffinity ClientIP: a client stays with its endpoint",
    steps: (k) => [
      {
        objects: [k.service({ sessionAffinity: "ClientIP" }), k.slice("l0 l1 r0 r1")],
        packets: [
          { from: "pod", to: k.vip(), gives: to("l0 l1 r0 r1", "kept", { sticky: true }) },
          { from: "outside", to: k.vip(), gives: to("l0 l1 r0 r1", "masked", { sticky: true }) },
        ],
      },
    ],
  },
  {
    row: 42,
    name: "affinity is switched on and off under way",
    steps: (k) => [
      { objects: [k.service(), k.slice("l0 l1")], packets: [{ from: "pod", to: k.vip(), gives: to("l0 l1", "kept") }] },
      {
        objects: [k.service({ sessionAffinity: "ClientIP" })],
        packets: [{ from: "pod", to: k.vip(), gives: to("l0 l1", "kept", { sticky: true }) }],
      },
      { objects: [k.service()], packets: [{ from: "pod", to: k.vip(), gives: to("l0 l1", "kept") }] },
    ],
  },
  {
    row: 43,
    name: "TCP and UDP on one number",
    steps: (k) => [
      {
        objects: [
          k.service({
            ports: [
              { name: "t", port: 80, protocol: "TCP" },
              { name: "u", port: 80, protocol: "UDP" },
            ],
          }),
          k.slice("l0 r0", { portName: "t", suffix: "t" }),
          k.slice("l1 r1", { portName: "u", suffix: "u", protocol: "UDP" }),
        ],
        packets: [
          ...from(["pod"], { to: k.vip(), gives: to("l0 r0", "kept") }),
          ...from(["pod"], { to: k.vip(), protocol: "UDP", gives: to("l1 r1", "kept") }),
          ...from(["node", "outside"], { to: k.vip(), protocol: "UDP", gives: to("l1 r1", "masked") }),
        ],
      },
    ],
  },
  {
    row: 48,
    name: "a pod that reaches itself through its Service is masked",
    steps: (k) => [
      {
        objects: [
          k.service({ type: "LoadBalancer", externalTrafficPolicy: "Local" }, { lb: [{ ip: k.lb() }] }),
          k.slice("l0"),
        ],
        packets: [
          { from: "itself", to: k.vip(), gives: to("l0", "masked") },
          { from: "itself", to: k.lb(), gives: to("l0", "masked") },
          { from: "itself", to: k.at.node1, port: k.nodePort, gives: to("l0", "masked") },
        ],
      },
    ],
  },
  {
    row: 49,
    name: "masquerade-all: every client of a cluster IP is masked",
    settings: { masqueradeAll: true },
    steps: (k) => [
      {
        objects: [k.service(), k.slice("l0 r0")],
        packets: from(everyone, { to: k.vip(), gives: to("l0 r0", "masked") }),
      },
    ],
  },
  {
    row: 50,
    name: "pods known by their interface",
    settings: { podInterfaces: ["p*"] },
    steps: (k) => [
      {
        objects: [
          k.service({ type: "LoadBalancer", externalTrafficPolicy: "Local" }, { lb: [{ ip: k.lb() }] }),
          k.slice("l0 r0"),
        ],
        packets: [
          { from: "pod", to: k.vip(), gives: to("l0 r0", "kept") },
          ...from(["outside", "node"], { to: k.vip(), gives: to("l0 r0", "masked") }),
          // User space sees addresses, no interfaces: a pod is as one outside.
          { from: "pod", to: k.lb(), gives: to("l0 r0", "kept"), userspace: to("l0", "kept") },
          { from: "outside", to: k.lb(), gives: to("l0", "kept") },
          // A pod of the other node comes in by another interface.
          { from: "remotePod", to: k.lb(), gives: to("l0", "kept") },
        ],
      },
    ],
  },
  {
    row: 50,
    name: "no way to tell pods from others: nobody is masked at a cluster IP, pods are held to Local",
    settings: { noDetector: true },
    steps: (k) => [
      {
        objects: [
          k.service({ type: "LoadBalancer", externalTrafficPolicy: "Local" }, { lb: [{ ip: k.lb() }] }),
          k.slice("l0 r0"),
        ],
        packets: [
          ...from(["pod", "outside"], { to: k.vip(), gives: to("l0 r0", "kept") }),
          ...from(["pod", "outside"], { to: k.lb(), gives: to("l0", "kept") }),
          { from: "node", to: k.lb(), gives: to("l0 r0", "masked") },
        ],
      },
    ],
  },
  {
    row: 51,
    name: "NodePorts answer on chosen addresses only",
    // Each node has addresses in one of each family.
    settings: { nodePortAddresses: ["192.168.77.0/24", "192.168.78.0/24", "fd77::/64", "fd78::/64"] },
    steps: (k) => [
      {
        objects: [k.service({ type: "NodePort" }), k.slice("l0")],
        packets: [
          ...from([...everyone, "remotePod"], { to: k.at.node1, port: k.nodePort, gives: to("l0", "masked") }),
          // There the node itself says that nothing listens.
          ...from(["pod", "outside"], { to: k.at.node1Link, port: k.nodePort, gives: "refused" }),
        ],
      },
    ],
  },
];

/** Rows that packets of a matrix do not show, and where they are shown; or why they are no matter of a node's. */
export const elsewhere: Readonly<Record<number, { readonly what: string; readonly where: string }>> = {
  2: { what: "headless: not proxied, DNS answers", where: "src/services/services.test.ts, src/dns/dns.test.ts" },
  6: { what: "NodePort range, collisions, release", where: "src/apiserver/allocation/service.test.ts" },
  7: { what: "NodePort bands", where: "src/apiserver/allocation/pool.test.ts" },
  8: { what: "cluster IP bands", where: "src/apiserver/allocation/pool.test.ts" },
  11: { what: "loadBalancerClass", where: "src/loadbalancer/load-balancer.test.ts" },
  12: { what: "loadBalancerIP", where: "src/loadbalancer/allocate.test.ts" },
  13: { what: "allocateLoadBalancerNodePorts", where: "src/apiserver/allocation/service.test.ts" },
  18: { what: "finalizer of load balancers", where: "src/loadbalancer/load-balancer.test.ts" },
  22: { what: "ipFamilyPolicy", where: "src/apiserver/allocation/dual-stack.test.ts, test/traffic/dual-stack.test.ts" },
  25: { what: "ServiceCIDR and IPAddress", where: "test/apiserver" },
  38: {
    what: "topology-mode Auto: hints by the controller",
    where: "not done: no hints are written for it, every endpoint is used",
  },
  40: { what: "mirroring of Endpoints", where: "src/controllers/endpoint-slice/controller.test.ts" },
  44: { what: "appProtocol: a hint, copied to slices", where: "src/controllers/endpoint-slice/plan.test.ts" },
  45: {
    what: "UDP and SCTP flows to endpoints that are gone are ended, and those that began before their Service",
    where: "test/proxy/kernel.test.ts, test/proxy/conntrack.test.ts",
  },
  46: {
    what: "the same with no endpoint left, and with the Service deleted",
    where: "test/proxy/kernel.test.ts, test/proxy/conntrack.test.ts",
  },
  47: { what: "established TCP stays with a removed endpoint", where: "test/proxy/kernel.test.ts" },
  52: { what: "NodePorts on localhost, by user space in every mode", where: "test/proxy/kernel.test.ts" },
  53: {
    what: "local firewalls: no rule of ours accepts in their place",
    where: "test/proxy/matrix.test.ts, each mode; as nftables of kube-proxy: the operator opens NodePorts",
  },
  54: { what: "conntrack INVALID: no rule (kernels < 6.1)", where: "as nftables of kube-proxy" },
  55: { what: "retry on another endpoint: user space only", where: "test/proxy/userspace.test.ts" },
  56: { what: "balancing: random with equal odds; in turn in user space", where: "test/proxy/kernel.test.ts" },
  57: { what: "conntrack sysctls: left as the machine has them", where: "test/proxy/matrix.test.ts, each mode" },
  58: { what: "rules outlive the proxy", where: "test/proxy/kernel.test.ts" },
};
