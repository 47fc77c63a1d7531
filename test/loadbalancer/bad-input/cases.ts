import { createHash } from "node:crypto";
import type { AddressPoolSpec } from "../../../src/loadbalancer/index.ts";

/** A pool that cannot be in force: the API refuses it, or its condition Valid says why. */
export interface WrongPool {
  readonly what: string;
  readonly spec: unknown;
  readonly by: "API" | "status";
  readonly says: RegExp;
}

const pool = (what: string, says: RegExp, spec: AddressPoolSpec): WrongPool => ({ what, says, spec, by: "status" });
const refused = (what: string, says: RegExp, spec: unknown): WrongPool => ({ what, says, spec, by: "API" });
const some = ["10.30.0.0/24"];
const bgp = { protocol: "BGP" } as const;

export const wrongPools: readonly WrongPool[] = [
  refused("no spec", /spec/, undefined),
  refused("no addresses", /spec\.addresses/, { addresses: [] }),
  refused("addresses that are no list", /spec\.addresses/, { addresses: "10.30.0.0/24" }),
  refused("an address that is a number", /spec\.addresses\[0\]/, { addresses: [10] }),
  refused("an address without end", /spec\.addresses\[0\]/, { addresses: ["1".repeat(300)] }),
  refused("too many addresses", /spec\.addresses/, {
    addresses: Array.from({ length: 300 }, (_, i) => `10.31.1.${i}`),
  }),
  refused("a priority below 0", /spec\.priority/, { addresses: some, priority: -1 }),
  refused("autoAssign in words", /spec\.autoAssign/, { addresses: some, autoAssign: "yes" }),
  refused("a reservation that is none", /spec\.reservation/, { addresses: some, reservation: "Sometimes" }),
  refused("a protocol that is none", /spec\.announce\.protocol/, { addresses: some, announce: { protocol: "OSPF" } }),
  refused("an interface with a command", /spec\.announce\.interface/, {
    addresses: some,
    announce: { protocol: "VRRP", interface: "x;reboot" },
  }),
  refused("adverts every 0 ms", /advertisementIntervalMs/, {
    addresses: some,
    announce: { advertisementIntervalMs: 0 },
  }),
  pool("a prefix that is too long", /"10\.30\.0\.0\/33"; write a block as/, { addresses: ["10.30.0.0/33"] }),
  pool("a block with bits of a host", /"10\.30\.0\.5\/24"/, { addresses: ["10.30.0.5/24"] }),
  pool("a range that goes back", /"10\.30\.0\.9-10\.30\.0\.1"/, { addresses: ["10.30.0.9-10.30.0.1"] }),
  pool("a range over both families", /"10\.30\.0\.1-fd00::1"/, { addresses: ["10.30.0.1-fd00::1"] }),
  pool("a range of three", /not an address pool/, { addresses: ["10.30.0.1-10.30.0.2-10.30.0.3"] }),
  pool("words", /"everything"/, { addresses: ["everything"] }),
  pool("an octet of 300", /"10\.30\.0\.300"/, { addresses: ["10.30.0.300"] }),
  pool("octets with zeros before", /"010\.030\.0\.1"/, { addresses: ["010.030.0.1"] }),
  pool("digits of another script", /not an address pool/, { addresses: ["１０.30.0.0/24"] }),
  pool("lines of a configuration", /not an address pool/, { addresses: ["10.30.0.1\n}\nvrrp_instance x {"] }),
  pool("one good and one wrong", /"10\.30\.0\.300"/, { addresses: ["10.30.0.0/24", "10.30.0.300"] }),
  pool("addresses of every machine", /0\.0\.0\.0\/8, which no machine can have/, { addresses: ["0.0.0.0/0"] }),
  pool("multicast", /224\.0\.0\.0\/4/, { addresses: ["224.0.0.0/24"] }),
  pool("multicast of IPv6", /ff00::\/8/, { addresses: ["ff02::/64"] }),
  pool("a pool that overlaps itself", /10\.30\.0\.0\/24 and 10\.30\.0\.128\/25 share/, {
    addresses: ["10.30.0.0/24", "10.30.0.128/25"],
  }),
  pool("addresses of an older pool", /shares addresses with the older pool lab/, { addresses: ["10.9.0.0/16"] }),
  pool("a community that is none", /advertisements\[0\]\.communities: "64512"/, {
    addresses: some,
    announce: { ...bgp, advertisements: [{ communities: ["64512"] }] },
  }),
  pool("a community that is too large", /communities: "70000:1"/, {
    addresses: some,
    announce: { ...bgp, advertisements: [{ communities: ["70000:1"] }] },
  }),
  pool("advertisements by VRRP", /they are for the protocol BGP, not VRRP/, {
    addresses: some,
    announce: { protocol: "VRRP", advertisements: [{}] },
  }),
  pool("an interval by BGP", /it is for the protocol VRRP, not BGP/, {
    addresses: some,
    announce: { ...bgp, advertisementIntervalMs: 100 },
  }),
  pool("a block that is larger than the pool", /aggregationLength: a prefix of 16 bits/, {
    addresses: some,
    announce: { ...bgp, advertisements: [{ aggregationLength: 16 }] },
  }),
];

/** A key of keepalived-vip's ConfigMap. */
export interface WrongVip {
  readonly key: string;
  readonly value: string;
  readonly reason: string;
  readonly says: RegExp;
}

const vip = (key: string, value: string, reason: string, says: RegExp): WrongVip => ({ key, value, reason, says });

export const wrongVips: readonly WrongVip[] = [
  vip("999.1.1.1", "default/good", "InvalidAddress", /"999\.1\.1\.1" is not an address: write/),
  vip("10.4.0", "default/good", "InvalidAddress", /"10\.4\.0"/),
  vip("0.0.0.0", "default/good", "InvalidAddress", /"0\.0\.0\.0"/),
  vip("127.0.0.1", "default/good", "InvalidAddress", /"127\.0\.0\.1"/),
  vip("169.254.1.1", "default/good", "InvalidAddress", /"169\.254\.1\.1"/),
  vip("224.0.0.18", "default/good", "InvalidAddress", /"224\.0\.0\.18"/),
  vip("255.255.255.255", "default/good", "InvalidAddress", /"255\.255\.255\.255"/),
  vip("fe80--1", "default/good", "InvalidAddress", /"fe80--1"/),
  vip("gateway.example", "", "InvalidAddress", /"gateway\.example"/),
  vip("10.9.0.161", "good", "InvalidTarget", /"good" is not NAMESPACE\/SERVICE/),
  vip("10.9.0.162", "../../etc/passwd", "InvalidTarget", /is not NAMESPACE\/SERVICE/),
  vip("10.9.0.163", "Default/Good", "InvalidTarget", /"Default\/Good"/),
  vip("10.9.0.164", "default/good\n}\nvirtual_server", "InvalidTarget", /"}"/),
  vip("10.9.0.165", "default/good:DR", "UnsupportedMethod", /direct return/),
  vip("10.9.0.166", "default/good:TUNNEL", "UnsupportedMethod", /"TUNNEL" is no method/),
  vip("10.9.0.167", "default/good:NAT default/datagrams:PROXY", "UnsupportedMethod", /NAT and PROXY at once/),
  vip("10.9.0.168", "default/absent", "ServiceNotFound", /Service default\/absent does not exist/),
  vip("10.9.0.169", "default/named", "UnsupportedService", /ExternalName/),
  vip("10.9.0.170", "default/datagrams:PROXY", "UnsupportedPort", /53\/UDP.*use NAT/),
  vip("10.9.0.171", "default/good, default/twin", "AddressTaken", /10\.9\.0\.171 is held by Service/),
  vip("fd00_0_0_0_0_0_0_10", "default/good", "DuplicateAddress", /fd00::10 is there already, as "fd00--10"/),
];

/** A ConfigMap of hp-loadbalancer. */
export interface WrongRequest {
  readonly what: string;
  readonly data: Readonly<Record<string, string>>;
  readonly says: RegExp;
}

const target = (name: string, more: Record<string, string> = {}) => ({ "target-service-name": name, ...more });

export const wrongRequests: readonly WrongRequest[] = [
  { what: "nothing", data: {}, says: /data\[target-service-name\] is missing/ },
  { what: "a blank name", data: target("  "), says: /is missing/ },
  { what: "a name with a path", data: target("../good"), says: /"\.\.\/good" is no Service's name/ },
  { what: "a name with lines", data: target("good\nlisten 80"), says: /is no Service's name/ },
  { what: "a namespace that is none", data: target("good", { namespace: "No_NS" }), says: /"No_NS" is no namespace/ },
  { what: "a Service that is not there", data: target("absent"), says: /Service default\/absent does not exist/ },
  { what: "another namespace", data: target("good", { namespace: "gone" }), says: /Service gone\/good does not exist/ },
  { what: "a Service that is a name", data: target("named"), says: /ExternalName/ },
  { what: "an address of words", data: target("good", { "bind-ip": "any" }), says: /data\[bind-ip\] "any" is not an/ },
  { what: "an address outside", data: target("good", { "bind-ip": "192.0.2.9" }), says: /192\.0\.2\.9/ },
  { what: "the address of another", data: target("good", { "bind-ip": "10.9.0.180" }), says: /10\.9\.0\.180/ },
  { what: "an address of IPv6", data: target("good", { "bind-ip": "fd00::1" }), says: /fd00::1|IPv6/ },
];

/** A Service of type LoadBalancer whose annotations or fields ask for what cannot be. */
export interface WrongService {
  readonly what: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly spec?: object;
  readonly reason: string;
  readonly says: RegExp;
}

const asks = (what: string, key: string, value: string, reason: string, says: RegExp): WrongService => ({
  what,
  annotations: { [key]: value },
  reason,
  says,
});
const address = "fairlead.dev/address";

export const wrongServices: readonly WrongService[] = [
  asks(
    "words",
    address,
    "anything",
    "InvalidRequest",
    /annotations\[fairlead\.dev\/address\]: "anything" is not an IP/,
  ),
  asks("lines", address, "10.9.0.101\n10.9.0.102", "InvalidRequest", /is not an IP address/),
  asks("DHCP", "kube-vip.io/loadbalancerIPs", "0.0.0.0", "InvalidRequest", /asks for DHCP/),
  asks("another family", address, "fd00::1", "InvalidRequest", /is IPv6, but the Service has only IPv4/),
  asks("two of a family", "metallb.io/loadBalancerIPs", "10.9.0.101,10.9.0.102", "InvalidRequest", /two addresses/),
  asks(
    "a list with a hole",
    "metallb.universe.tf/loadBalancerIPs",
    "10.9.0.101,,",
    "InvalidRequest",
    /"" is not an IP/,
  ),
  asks("a block", "lbipam.cilium.io/ips", "10.9.0.0/24", "InvalidRequest", /"10\.9\.0\.0\/24" is not an IP/),
  asks("outside", address, "192.0.2.1", "OutsidePools", /192\.0\.2\.1/),
  asks("taken", address, "10.9.0.100", "AddressTaken", /10\.9\.0\.100.*default\/good-address/),
  asks("no such pool", "metallb.io/address-pool", "gold", "NoPool", /gold/),
  asks("a pool for others", "fairlead.dev/address-pool", "others", "PoolNotAllowed", /others/),
  asks("a key without end", "metallb.io/allow-shared-ip", "k".repeat(300), "InvalidRequest", /longer than 253/),
  {
    what: "the old field",
    spec: { loadBalancerIP: "999.9.9.9" },
    reason: "InvalidRequest",
    says: /spec\.loadBalancerIP/,
  },
];

/** A Service of service-loadbalancer. */
export interface WrongAnnotation {
  readonly what: string;
  readonly annotations: Readonly<Record<string, string>>;
  readonly says: RegExp;
}

const lb = (what: string, name: string, value: string, says: RegExp): WrongAnnotation => ({
  what,
  annotations: { [`serviceloadbalancer/lb.${name}`]: value },
  says,
});

export const wrongRoutes: readonly WrongAnnotation[] = [
  lb("an algorithm that is none", "algorithm", "random", /lb\.algorithm\]: "random" is no algorithm.*roundrobin/),
  lb("a host with a blank", "host", "www example", /lb\.host\]: "www example" is not a host name/),
  lb("a host with lines", "host", "a.example\nuse_backend x", /is not a host name/),
  lb("a host without end", "host", `${"a.".repeat(150)}example`, /is not a host name/),
  lb("a path without its slash", "aclMatch", "test", /lb\.aclMatch\]: "test" is no list of paths/),
  lb("a path with HAProxy's words", "aclMatch", "/x { path_beg / }", /is no list of paths/),
  lb("no path after -i", "aclMatch", "-i", /is no list of paths/),
  lb("HTTPS, perhaps", "sslTerm", "perhaps", /lb\.sslTerm\]: "perhaps" is neither true nor false/),
  lb("HTTPS without a certificate", "sslTerm", "true", /there is no certificate.*--ssl-cert/),
  lb("a cookie of 2", "cookie-sticky-session", "2", /"2" is neither true nor false/),
];

const rancher = (what: string, annotations: Record<string, string>, says: RegExp): WrongAnnotation => ({
  what,
  annotations,
  says,
});
const sticky = "io.rancher.stickiness.policy";

export const wrongIngresses: readonly WrongAnnotation[] = [
  rancher("port 0", { "http.port": "0" }, /http\.port.*from 1 to 65535 is needed, not "0"/),
  rancher("port 70000", { "http.port": "70000" }, /not "70000"/),
  rancher("a port in words", { "http.port": "eighty" }, /not "eighty"/),
  rancher("allow.http, perhaps", { "allow.http": "perhaps" }, /allow\.http.*true or false/),
  rancher("no way in", { "allow.http": "false" }, /without HTTP a certificate is needed/),
  rancher("a policy without values", { [sticky]: "insert" }, /is no "name: value"/),
  rancher("a policy that is unknown", { [sticky]: "colour: red" }, /"colour" is unknown/),
  rancher("a mode that is none", { [sticky]: "mode: sideways" }, /insert, rewrite or prefix is needed/),
  rancher("a mode that is not offered", { [sticky]: "mode: rewrite" }, /mode rewrite is not supported/),
  rancher("a cookie with a blank", { [sticky]: "cookie: a b\nmode: insert" }, /"a b" is no name of a cookie/),
  rancher("a domain that is none", { [sticky]: "cookie: a\ndomain: -x-\nmode: insert" }, /"-x-" is no domain/),
  rancher(
    "lines for HAProxy",
    { config: "frontend 80\nuse_backend evil\nlog /dev/log" },
    /use_backend evil.*not taken/,
  ),
];

/** A TLS Secret, made of a good certificate and key of `a.example` and a key of another. */
export interface WrongCertificate {
  readonly what: string;
  readonly data: (good: KeyPairText, other: KeyPairText) => Readonly<Record<string, string>> | undefined;
  readonly says: RegExp;
}

export interface KeyPairText {
  readonly certificate: string;
  readonly key: string;
}

/** A text that no log, event or status may have. */
export const seed = (name: string): string => `seed-${createHash("sha256").update(name).digest("hex").slice(0, 24)}`;
const both = (certificate: string, key: string) => ({ "tls.crt": certificate, "tls.key": key });
const half = (text: string) => text.slice(0, Math.floor(text.length / 2));

export const wrongCertificates: readonly WrongCertificate[] = [
  { what: "a Secret that is not there", data: () => undefined, says: /does not exist/ },
  { what: "no certificate", data: ({ key }) => ({ "tls.crt": "", "tls.key": key }), says: /has no data tls\.crt/ },
  { what: "no key", data: ({ certificate }) => both(certificate, ""), says: /has no data tls\.key/ },
  {
    what: "words for a certificate",
    data: ({ key }) => both(seed("crt"), key),
    says: /no PEM certificate in tls\.crt/,
  },
  { what: "words for a key", data: ({ certificate }) => both(certificate, seed("key")), says: /PEM key in tls\.key/ },
  { what: "half a certificate", data: ({ certificate, key }) => both(half(certificate), key), says: /tls\.crt/ },
  { what: "half a key", data: ({ certificate, key }) => both(certificate, half(key)), says: /PEM key in tls\.key/ },
  {
    what: "a certificate of rubbish",
    data: ({ key }) => both("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", key),
    says: /cannot be read/,
  },
  {
    what: "a key of rubbish",
    data: ({ certificate }) =>
      both(certificate, `-----BEGIN PRIVATE KEY-----\n${seed("pem")}\n-----END PRIVATE KEY-----\n`),
    says: /PEM key in tls\.key/,
  },
  { what: "the key of another", data: ({ certificate }, { key }) => both(certificate, key), says: /does not belong/ },
  { what: "both in each other's place", data: ({ certificate, key }) => both(key, certificate), says: /tls\.crt/ },
  {
    what: "an encrypted key",
    data: ({ certificate }) =>
      both(
        certificate,
        `-----BEGIN ENCRYPTED PRIVATE KEY-----\n${Buffer.from(seed("locked")).toString("base64")}\n-----END ENCRYPTED PRIVATE KEY-----\n`,
      ),
    says: /unencrypted PEM key/,
  },
];
