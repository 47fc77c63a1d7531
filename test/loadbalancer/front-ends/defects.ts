/** A defect of a system of 2016 that a front end is in place of, and the tests that show it gone: `FILE: TITLE`, as it is written there. */
export interface Defect {
  readonly defect: string;
  readonly gone: readonly string[];
}

const test = (folder: string, file: string) => (title: string) => `${folder}/${file}.test.ts: ${title}`;
const rooms = "src/loadbalancer";
const suites = "test/loadbalancer";

const keepalived = test(suites, "front-ends/keepalived-vip");
const keepalivedController = test(rooms, "front-ends/keepalived-vip/controller");
const placement = test(rooms, "vip/placement");
const badInput = test(suites, "bad-input/bad-input");
const services = test(suites, "front-ends/service-loadbalancer");
const translate = test(rooms, "front-ends/service-loadbalancer/translate");
const hp = test(rooms, "front-ends/hp-loadbalancer/controller");
const hpLive = test(suites, "front-ends/hp-loadbalancer");
const openstack = test(suites, "openstack/openstack");
const controller = test(suites, "front-ends/lb-controller");
const rancher = test(suites, "rancher/rancher");

export const defects: Readonly<Record<string, readonly Defect[]>> = {
  "keepalived-vip": [
    {
      defect: "all addresses are one VRRP instance, so one node carries everything",
      gone: [
        placement("each node is the first choice of as many groups as any other"),
        test(
          suites,
          "vip-spread",
        )("each node holds its share, within a fifth, and what a dead one leaves goes to all others and stays there"),
        keepalived("NAT, PROXY and an address alone, from a ConfigMap that is made later; each told where it is"),
      ],
    },
    {
      defect: "peers are those of the start: a node that comes is unknown to the others",
      gone: [test(suites, "vip")("a node that comes takes nothing, and is another's successor")],
    },
    {
      defect: "priorities overflow beyond 155 nodes",
      gone: [placement("priorities of %i nodes differ and are VRRP's")],
    },
    { defect: "IPv4 only", gone: [keepalived("IPv6: NAT, PROXY and an address alone")] },
    {
      defect: "one Service an address",
      gone: [
        keepalivedController(
          "the same port at two addresses, two Services at one address, the same name in two namespaces",
        ),
        keepalived("two Services at one address; clients stay with an endpoint only where the Service says so"),
      ],
    },
    { defect: "addresses and methods are not checked", gone: [badInput("keepalived-vip: %s: %j")] },
    {
      defect: "a Service that is not there is left out without a word",
      gone: [keepalivedController("what is wrong is told at its key and in events, and harms no other")],
    },
    {
      defect: "an address goes when its Service has no endpoint",
      gone: [
        keepalived("endpoints go: the address stays and refuses; they come back: it serves, by both ways"),
        keepalived("version 2 of the PROXY protocol, and addresses that go with their endpoints"),
      ],
    },
    {
      defect: "nothing is written back; a ConfigMap that is made after the start is not seen",
      gone: [keepalived("NAT, PROXY and an address alone, from a ConfigMap that is made later; each told where it is")],
    },
    {
      defect: "what HAProxy is to do is written only when keepalived's file changes too",
      gone: [keepalived("endpoints go: the address stays and refuses; they come back: it serves, by both ways")],
    },
    {
      defect: "direct return needs the address on the pods, and nobody says so",
      gone: [
        keepalived("NAT, PROXY and an address alone, from a ConfigMap that is made later; each told where it is"),
        badInput("keepalived-vip: %s: %j"),
      ],
    },
    {
      defect: "without IPVS nothing starts, and at the start all of IPVS is flushed",
      gone: [keepalived("NAT, PROXY and an address alone, from a ConfigMap that is made later; each told where it is")],
    },
    {
      defect: "clients always stay with an endpoint",
      gone: [
        keepalivedController(
          "an address stays while its Service is away or has no endpoint, and its stickiness is the Service's own",
        ),
        keepalived("two Services at one address; clients stay with an endpoint only where the Service says so"),
      ],
    },
    {
      defect: "a daemon that is killed leaves its addresses, so that two nodes have them",
      gone: [keepalived("keepalived is killed: no second holder, and both ways serve again")],
    },
  ],
  "service-loadbalancer": [
    {
      defect: "every Service is sticky",
      gone: [
        translate("only ClientIP makes clients stay: the API says None where nobody says anything"),
        services("clients stay with a pod only where the Service says so: by address, or by the cookie"),
      ],
    },
    { defect: "one name in two namespaces collides", gone: [services("one name in two namespaces: both are reached")] },
    {
      defect: "the routes of the last Service stay when it goes",
      gone: [services("the last Service goes and takes its route along")],
    },
    {
      defect: "host or path, where both were meant",
      gone: [
        translate("a host leads only there, together with the path or alone"),
        services("the documented examples: by path, by port, by host, by HTTPS, by an expression"),
      ],
    },
    {
      defect: "a named targetPort is checked at port 0",
      gone: [
        test(
          rooms,
          "front-ends/service-loadbalancer/template-data",
        )(
          "gives templates the original's fields: what the API says by default keeps nobody, and a named port is resolved",
        ),
        services("nobody connects to a pod but clients: none is probed, and who is not ready is asked nothing"),
      ],
    },
    {
      defect: "every pod is probed each 5 ms, and only whether it can be connected to",
      gone: [services("nobody connects to a pod but clients: none is probed, and who is not ready is asked nothing")],
    },
    {
      defect: "nothing limits how often the balancer is reloaded",
      gone: [
        test(
          rooms,
          "front-ends/service-loadbalancer/plugin",
        )("a storm of changes reloads the balancer at most twice a second, and the last of them is in its file"),
      ],
    },
    {
      defect: "an algorithm that is none leaves `balance` empty",
      gone: [translate("an algorithm that is none is told, and the flag's is used")],
    },
    {
      defect: "TCP ports are those of the pod's start; who comes second is not told",
      gone: [translate("two Services that want one port: the older has it, and the other is told")],
    },
    { defect: "what is wrong is nowhere to be read", gone: [badInput("service-loadbalancer: %s")] },
    {
      defect: "words that HAProxy no longer knows",
      gone: [services("another balancer, by a manifest with a template and a reload command")],
    },
    {
      defect: "HTTPS without a certificate is served in clear",
      gone: [translate("HTTPS is asked for and there is no certificate: it is not served in clear")],
    },
  ],
  "hp-loadbalancer": [
    {
      defect: "addresses are given by reading, changing and writing a ConfigMap, from several at once",
      gone: [test(suites, "stability")("lmdb")],
    },
    {
      defect: "nobody leads: two programs do everything twice",
      gone: [hpLive("of two controllers one works; it is killed: the other goes on, and no address moves")],
    },
    {
      defect: "two programs for two namespaces undo each other's work",
      gone: [hp("two that look after a namespace each: neither removes the other's twins")],
    },
    {
      defect: "what a Service had is left over when it goes before its ConfigMap",
      gone: [
        hp("a port of the Service that changes is followed; a Service that goes is told, and takes its twin along"),
        test(
          suites,
          "f5/f5",
        )(
          "`fairlead hp-loadbalancer --backend f5`: a ConfigMap is told its address, by the calls of 2016; the Service goes first, and nothing is left",
        ),
      ],
    },
    {
      defect: "changes of a Service's ports are not followed",
      gone: [
        hp("a port of the Service that changes is followed; a Service that goes is told, and takes its twin along"),
      ],
    },
    {
      defect: "OpenStack's ERROR counts as ready, and any difference makes a new load balancer",
      gone: [
        openstack("errors, slowness and flapping: what exists ends as what is wanted"),
        openstack("what someone else has changed is put right"),
      ],
    },
    {
      defect: "credentials that an F5 does not take end the program",
      gone: [test(suites, "f5/icontrol")("wrong credentials are said, and no password is")],
    },
    { defect: "IPv4 only", gone: [hp("a range of IPv6, for a Service of IPv6")] },
    {
      defect: "a change makes a new load balancer with another address",
      gone: [hp("an address that is in bind-ip from before is kept, and one that cannot be had is told")],
    },
    { defect: "errors are only in the ConfigMap", gone: [hp("what is wrong is an event as well, once")] },
    {
      defect: "who finds no address left is not asked again",
      gone: [hp("no address is left: the ConfigMap is told, and gets the first that becomes free")],
    },
  ],
  "lb-controller": [
    {
      defect: "one certificate for all names, and one that changes is not served",
      gone: [
        controller("TLS: each name its certificate, the first for others, and a Secret that changes is served"),
        test(
          suites,
          "rancher/contract",
        )("a certificate that changes is uploaded again, once, and goes with the last that needs it"),
      ],
    },
    {
      defect: "a stop wipes all statuses",
      gone: [
        controller("a stop wipes no status; the last Ingress takes its port along"),
        rancher("a stopped controller wipes nothing; what was deleted meanwhile goes with the next start"),
      ],
    },
    {
      defect: "Rancher is asked every 30 seconds",
      gone: [rancher("a load balancer that moves changes the Ingress's status: Rancher pushes")],
    },
    { defect: "errors are only in the log", gone: [badInput("lb-controller: %s"), badInput("certificate: %s")] },
    {
      defect: "an Ingress that is wrong harms others",
      gone: [controller("of another class it is not touched, and one that is wrong harms only itself")],
    },
    {
      defect: "one name in two namespaces",
      gone: [controller("one name in two namespaces; pods that move are followed")],
    },
  ],
};
