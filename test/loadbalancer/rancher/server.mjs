// Rancher 1.x's Cattle API, as far as load balancers go: v1 and v2-beta over the same objects. node server.mjs PORT FOLDER runs it with a real
// HAProxy that does what is declared. It describes itself by schemas and links, checks each request's fields and types against Rancher's
// documentation, changes things later (transitioning), offers actions only when they can be done, and pushes resource.change.
import { createServer } from "node:http";
import { X509Certificate } from "node:crypto";
import { WebSocketServer } from "ws";
import { createHaproxy } from "../../support/haproxy.mjs";

export const accessKey = "RANCHERACCESS";
export const secretKey = "rancher-secret-key";
const project = "1a5";

const text = (value) => typeof value === "string" || value === null;
const whole = (value) => Number.isInteger(value);
const flag = (value) => typeof value === "boolean";
const map = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const maybe = (check) => (value) => value === null || check(value);
const list = (check) => (value) => Array.isArray(value) && value.every((one) => check(one));
const fields = (known) => (value) =>
  map(value) && Object.entries(value).every(([name, one]) => known[name]?.(one) ?? false);
const port = (value) => whole(value) && value >= 1 && value <= 65_535;
const oneOf =
  (...words) =>
  (value) =>
    words.includes(value);

/** Where Rancher asks its load balancers whether they are well. */
const healthPort = 42;
/** What Rancher adds to each load balancer that is made. */
const ofRancher = {
  labels: { "io.rancher.container.agent.role": "environmentAdmin", "io.rancher.container.create_agent": "true" },
  healthCheck: {
    port: healthPort,
    interval: 2_000,
    responseTimeout: 2_000,
    healthyThreshold: 2,
    unhealthyThreshold: 3,
  },
};
const withDefaults = (launch) => ({
  ...launch,
  labels: { ...launch.labels, ...ofRancher.labels },
  healthCheck: ofRancher.healthCheck,
});

const stickiness = fields({
  name: text,
  cookie: text,
  domain: text,
  mode: oneOf("insert", "rewrite", "prefix"),
  indirect: flag,
  nocache: flag,
  postonly: flag,
});
const launchConfig = fields({ ports: list((value) => /^\d+:\d+$/.test(value)), labels: map, imageUuid: text });
const portRule = (value) =>
  fields({
    sourcePort: port,
    protocol: oneOf("http", "tcp", "https", "tls", "sni", "udp"),
    hostname: text,
    path: text,
    serviceId: text,
    targetPort: port,
    priority: (one) => whole(one) && one >= 1,
    selector: text,
    backendName: text,
  })(value) &&
  value.sourcePort !== undefined &&
  value.sourcePort !== healthPort &&
  // Either a selector, or a Service and its port.
  (value.selector ? !value.serviceId : Boolean(value.serviceId) && value.targetPort !== undefined);
const lbConfig = fields({
  config: text,
  portRules: list(portRule),
  certificateIds: list(text),
  defaultCertificateId: text,
  stickinessPolicy: maybe(stickiness),
});
/** `[[[domain:][sourcePort][/path]=][targetPort]]` */
const serviceLink = /^(?:(?:[A-Za-z0-9.*-]+(?::\d+)?|\d+)?(?:\/[^=:]*)?=)?\d+$/;

/** Fields that may be written: what checks them, and whether they must be there (2), may change later (1) or not (0). */
const writable = {
  v1: {
    environments: { name: [text, 2], externalId: [text, 0], description: [text, 1] },
    certificates: { name: [text, 2], description: [text, 1], cert: [text, 2], key: [text, 2], certChain: [text, 1] },
    loadBalancerServices: {
      name: [text, 2],
      environmentId: [text, 2],
      externalId: [text, 0],
      description: [text, 1],
      metadata: [map, 1],
      scale: [whole, 1],
      launchConfig: [launchConfig, 2],
      loadBalancerConfig: [fields({ lbCookieStickinessPolicy: maybe(stickiness) }), 1],
      defaultCertificateId: [text, 1],
      certificateIds: [list(text), 1],
    },
  },
  "v2-beta": {
    stacks: { name: [text, 2], externalId: [text, 0], description: [text, 1] },
    certificates: { name: [text, 2], description: [text, 1], cert: [text, 2], key: [text, 2], certChain: [text, 1] },
    loadBalancerServices: {
      name: [text, 2],
      stackId: [text, 2],
      externalId: [text, 0],
      description: [text, 1],
      metadata: [map, 1],
      scale: [whole, 1],
      launchConfig: [launchConfig, 2],
      lbConfig: [lbConfig, 2],
    },
  },
};
const kinds = {
  v1: [
    "environments",
    "certificates",
    "loadBalancerServices",
    "kubernetesServices",
    "serviceConsumeMaps",
    "subscribes",
  ],
  "v2-beta": ["stacks", "certificates", "loadBalancerServices", "kubernetesServices", "settings", "subscribes"],
};
const singular = (kind) => kind.replace(/s$/, "");

export function createRancher({ folder, hosts = ["127.98.0.1"] } = {}) {
  const haproxy = folder ? createHaproxy(folder) : undefined;
  const mode = { delay: 15, fail: 0, lose: 0, busy: 0, push: true, echo: false, versions: ["v1", "v2-beta"] };
  const invalid = [];
  const log = [];
  let host = hosts[0];
  let last = 0;
  const id = (kind) => `1${kind}${++last}`;
  /** What there is: stacks (environments), certs, balancers, services, settings. */
  const stacks = new Map();
  const certificates = new Map();
  const balancers = new Map();
  const services = new Map();
  const sockets = new Set();
  const server = createServer(
    (request, response) => void serve(request, response).catch((error) => fault(response, error)),
  );
  const wss = new WebSocketServer({ noServer: true });
  const take = (name) => mode[name] > 0 && mode[name]-- > 0;
  const fault = (response, error) => {
    console.error(error);
    response.writeHead(500);
    response.end();
  };

  /** What Rancher says of something, in one of its versions. */
  function shown(kind, one, version, base) {
    const self = `${base}/${kind}/${one.id}`;
    const common = {
      id: one.id,
      type: singular(kind),
      name: one.name,
      links: { self },
      actions: {},
      state: "active",
      transitioning: "no",
      removed: null,
    };
    const stackId = version === "v1" ? "environmentId" : "stackId";
    if (kind === "certificates") {
      const { cert, description } = one;
      return { ...common, cert, description, actions: { remove: `${self}/?action=remove` } };
    }
    if (kind === "kubernetesServices") return { ...common, externalId: one.uid, [stackId]: one.stackId };
    if (kind !== "loadBalancerServices") return { ...common, externalId: one.externalId ?? null, value: one.value };
    const action = (name) => [name, `${self}/?action=${name}`];
    const can =
      one.transitioning === "yes"
        ? []
        : one.state === "inactive"
          ? ["activate", "remove", ...(version === "v1" ? ["setservicelinks"] : [])]
          : one.state === "active"
            ? ["deactivate", "remove", ...(version === "v1" ? ["setservicelinks"] : [])]
            : [];
    const { body } = one;
    return {
      ...common,
      ...body,
      externalId: body.externalId ?? null,
      [stackId]: one.stackId,
      state: one.state,
      transitioning: one.transitioning,
      transitioningMessage: one.message ?? null,
      actions: Object.fromEntries(can.map(action)),
      publicEndpoints: one.endpoints.flatMap((ipAddress) =>
        body.launchConfig.ports.map((ports) => ({
          type: "publicEndpoint",
          ipAddress,
          port: Number(ports.split(":")[0]),
          hostId: "1h1",
          instanceId: "1i1",
        })),
      ),
      removed: one.state === "removed" ? new Date().toISOString() : null,
    };
  }

  function push(one) {
    if (!mode.push) return;
    for (const { socket, version, base } of sockets) {
      const resource = shown("loadBalancerServices", one, version, base);
      socket.send(
        JSON.stringify({
          name: "resource.change",
          resourceType: "loadBalancerService",
          resourceId: one.id,
          data: { resource },
        }),
      );
    }
  }

  /** Becomes something later, as all does in Rancher. */
  function become(one, now, later, then) {
    Object.assign(one, { state: now, transitioning: "yes", message: "In Progress" });
    push(one);
    setTimeout(() => {
      if (take("fail"))
        Object.assign(one, { state: "inactive", transitioning: "error", message: "Timeout getting agent (injected)" });
      else {
        Object.assign(one, { state: later, transitioning: "no", message: null });
        then?.();
      }
      push(one);
      void program();
    }, mode.delay);
  }

  function publish(one) {
    setTimeout(() => {
      // It may be busy with what came in the meantime: its hosts are told when that is over.
      if (one.state === "updating-active") return publish(one);
      if (one.state !== "active") return;
      one.endpoints = [host];
      push(one);
      void program();
    }, mode.delay);
  }

  /** HAProxy does what all load balancers say that are active. */
  async function program() {
    if (!haproxy) return;
    const frontends = [];
    for (const one of balancers.values()) {
      if (one.state !== "active" || one.endpoints.length === 0) continue;
      for (const pair of one.body.launchConfig.ports) {
        const number = Number(pair.split(":")[0]);
        const rules = rulesOf(one).filter(({ sourcePort }) => sourcePort === undefined || sourcePort === number);
        const ids = [
          one.body.lbConfig?.defaultCertificateId ?? one.body.defaultCertificateId,
          ...(one.body.lbConfig?.certificateIds ?? one.body.certificateIds ?? []),
        ];
        const isTls = one.body.lbConfig
          ? one.body.lbConfig.portRules?.some((rule) => rule.sourcePort === number && rule.protocol === "https")
          : one.body.launchConfig.labels?.["io.rancher.loadbalancer.ssl.ports"] === String(number);
        const tls = isTls
          ? ids.flatMap((of) => certificates.get(of) ?? []).map(({ cert, key }) => `${cert.trim()}\n${key}`)
          : [];
        frontends.push({ name: `${one.name}.${number}`, address: one.endpoints[0], port: number, http: rules, tls });
      }
    }
    await haproxy.apply(frontends);
  }

  function rulesOf(one) {
    const members = (of, number) => (services.get(of)?.addresses ?? []).map((address) => ({ address, port: number }));
    if (one.body.lbConfig) {
      const rules = (one.body.lbConfig.portRules ?? []).toSorted((a, b) => (a.priority ?? 1e9) - (b.priority ?? 1e9));
      return rules.map(({ hostname, path, sourcePort, serviceId, targetPort }) => ({
        hostname,
        path,
        sourcePort,
        members: members(serviceId, targetPort),
      }));
    }
    const rules = (one.links ?? []).flatMap(({ serviceId, ports }) =>
      ports.map((spec) => {
        const [, hostname = "", source, path = "", target] =
          /^(?:([A-Za-z.*-][^:/=]*)?:?(\d+)?(\/[^=]*)?=)?(\d+)$/.exec(spec) ?? [];
        return {
          hostname,
          path,
          ...(source ? { sourcePort: Number(source) } : {}),
          members: members(serviceId, Number(target)),
        };
      }),
    );
    return rules.toSorted((a, b) => b.hostname.length - a.hostname.length || b.path.length - a.path.length);
  }

  const bad = (status, code, message) => [status, { type: "error", status, code, message }];

  function check(version, kind, body, isCreate) {
    const known = writable[version][kind];
    if (!known) return bad(405, "MethodNotAllowed", `${kind} cannot be written`);
    for (const [name, value] of Object.entries(body)) {
      const field = known[name];
      if (!field || (!isCreate && field[1] === 0) || (value !== null && !field[0](value))) {
        invalid.push(`${version} ${kind}.${name}: ${JSON.stringify(value)}`);
        return bad(422, "InvalidFormat", `${name} is not valid`);
      }
    }
    const missing =
      isCreate && Object.entries(known).find(([name, [, need]]) => need === 2 && body[name] === undefined);
    if (missing) {
      invalid.push(`${version} ${kind}.${missing[0]} is missing`);
      return bad(422, "MissingRequired", missing[0]);
    }
    return undefined;
  }

  function isCertificate({ cert, key }) {
    try {
      return new X509Certificate(cert).subject !== undefined && key.includes("PRIVATE KEY");
    } catch {
      return false;
    }
  }

  function create(version, kind, body, base) {
    const wrong = check(version, kind, body, true);
    if (wrong) return wrong;
    if (kind === "certificates") {
      if (mode.echo) return bad(422, "InvalidFormat", JSON.stringify(body));
      if (!isCertificate(body)) return bad(422, "InvalidFormat", "cert is not a certificate");
      const one = { id: id("c"), ...body };
      certificates.set(one.id, one);
      return [201, shown(kind, one, version, base)];
    }
    if (kind === "loadBalancerServices") {
      const stackId = body.stackId ?? body.environmentId;
      if (!stacks.has(stackId)) return bad(422, "InvalidReference", "stackId");
      if (
        [...balancers.values()].some(
          (one) => one.name === body.name && one.stackId === stackId && one.state !== "removed",
        )
      )
        return bad(422, "NotUnique", "name");
      if (!/^[a-z0-9-]{1,63}$/i.test(body.name)) return bad(422, "InvalidCharacters", "name");
      const one = {
        id: id("s"),
        name: body.name,
        stackId,
        body: { scale: 1, ...body, launchConfig: withDefaults(body.launchConfig) },
        endpoints: [],
        links: [],
      };
      balancers.set(one.id, one);
      become(one, "registering", "inactive");
      return [201, shown(kind, one, version, base)];
    }
    const one = { id: id("st"), ...body };
    stacks.set(one.id, one);
    return [201, shown(kind, one, version, base)];
  }

  function update(version, kind, one, body, base) {
    const wrong = check(version, kind, body, false);
    if (wrong) return wrong;
    if (kind === "certificates") {
      if (!isCertificate({ ...one, ...body })) return bad(422, "InvalidFormat", "cert is not a certificate");
      Object.assign(one, body);
      void program();
    } else if (kind === "loadBalancerServices") {
      if (one.transitioning === "yes") return bad(409, "Conflict", `the service is ${one.state}`);
      const ids = [
        ...(body.lbConfig?.certificateIds ?? []),
        body.lbConfig?.defaultCertificateId ?? body.defaultCertificateId,
      ].filter(Boolean);
      if (ids.some((of) => !certificates.has(of))) return bad(422, "InvalidReference", "certificateIds");
      if (body.lbConfig?.portRules?.some(({ serviceId }) => !services.has(serviceId)))
        return bad(422, "InvalidReference", "serviceId");
      Object.assign(one.body, body);
      become(one, one.state === "active" ? "updating-active" : "updating-inactive", one.state);
    }
    return [200, shown(kind, one, version, base)];
  }

  function act(version, kind, one, action, body, base) {
    if (kind === "certificates" && action === "remove") {
      const users = [...balancers.values()].filter(({ state }) => state !== "removed");
      const uses = ({ body: { lbConfig, defaultCertificateId, certificateIds } }) =>
        [
          lbConfig?.defaultCertificateId,
          defaultCertificateId,
          ...(lbConfig?.certificateIds ?? []),
          ...(certificateIds ?? []),
        ].includes(one.id);
      if (users.some(uses)) return bad(405, "InvalidAction", "the certificate is in use");
      certificates.delete(one.id);
      return [202, shown(kind, one, version, base)];
    }
    if (!shown(kind, one, version, base).actions[action]) return bad(422, "ActionNotAvailable", action);
    if (action === "activate") become(one, "activating", "active", () => publish(one));
    else if (action === "remove") {
      become(one, "removing", "removed");
      one.endpoints = [];
    } else if (action === "setservicelinks") {
      const links = body?.serviceLinks;
      if (
        !Array.isArray(links) ||
        !links.every(({ serviceId, ports }) => services.has(serviceId) && ports.every((spec) => serviceLink.test(spec)))
      ) {
        invalid.push(`v1 setservicelinks: ${JSON.stringify(body)}`);
        return bad(422, "InvalidFormat", "serviceLinks");
      }
      one.links = links;
      become(one, one.state === "active" ? "updating-active" : "updating-inactive", one.state);
    }
    return [202, shown(kind, one, version, base)];
  }

  const tables = {
    stacks,
    environments: stacks,
    certificates,
    loadBalancerServices: balancers,
    kubernetesServices: services,
  };
  function all(version, kind) {
    if (kind === "settings")
      return [{ id: "1as!lb.instance.image", name: "lb.instance.image", value: "rancher/lb-service-haproxy:v0.9.6" }];
    if (kind === "serviceConsumeMaps")
      return [...balancers.values()].flatMap(({ id: serviceId, links }) =>
        links.map((link, i) => ({
          id: `${serviceId}m${i}`,
          serviceId,
          consumedServiceId: link.serviceId,
          ports: link.ports,
        })),
      );
    return [...(tables[kind]?.values() ?? [])];
  }

  function answer(request, url, body) {
    const [, version, of, rest = ""] = /^\/(v1|v2-beta)(?:\/projects\/(\w+))?(?:\/(.*))?$/.exec(url.pathname) ?? [];
    if (!version || !mode.versions.includes(version) || (of && of !== project))
      return bad(404, "NotFound", "no such resource");
    const base = `http://${request.headers.host}/${version}/projects/${project}`;
    if (rest === "") return [200, { type: "account", id: project, links: {} }, { "x-api-schemas": `${base}/schemas` }];
    if (rest === "schemas") {
      const data = kinds[version].map((kind) => ({
        id: singular(kind),
        type: "schema",
        pluralName: kind,
        links: { self: `${base}/schemas/${kind}`, collection: `${base}/${kind.toLowerCase()}` },
      }));
      return [200, { type: "collection", data }];
    }
    const [word, which] = rest.replace(/\/$/, "").split("/");
    const kind = kinds[version].find((one) => one.toLowerCase() === word.toLowerCase());
    if (!kind) return bad(404, "NotFound", word);
    const raw = kind === "serviceConsumeMaps" || kind === "settings";
    const view = (one) => (raw ? { type: singular(kind), ...one, removed: null } : shown(kind, one, version, base));
    if (!which && request.method === "GET") {
      const filters = [...url.searchParams].filter(([name]) => !["limit", "marker", "removed_null"].includes(name));
      const found = all(version, kind)
        .map(view)
        .filter((one) => filters.every(([name, value]) => String(one[name]) === value) && one.removed === null);
      // Pages of two, so that nobody reads only the first.
      const from = Number(url.searchParams.get("marker") ?? 0);
      const next = new URL(url.href);
      next.searchParams.set("marker", String(from + 2));
      const pagination = found.length > from + 2 ? { limit: 2, partial: true, next: next.href } : null;
      return [200, { type: "collection", resourceType: singular(kind), data: found.slice(from, from + 2), pagination }];
    }
    if (!which && request.method === "POST") {
      log.push(`create ${kind}`);
      return create(version, kind, body, base);
    }
    const one = all(version, kind).find((each) => each.id === which);
    if (!one) return bad(404, "NotFound", which ?? "");
    if (request.method === "GET") return [200, view(one)];
    if (request.method === "PUT") {
      log.push(`update ${kind} ${Object.keys(body).sort().join()}`);
      return update(version, kind, one, body, base);
    }
    const action = url.searchParams.get("action");
    if (request.method === "POST" && action) {
      log.push(action);
      return act(version, kind, one, action, body, base);
    }
    return bad(405, "MethodNotAllowed", request.method);
  }

  const isAllowed = ({ headers }) =>
    headers.authorization === `Basic ${Buffer.from(`${accessKey}:${secretKey}`).toString("base64")}`;

  async function serve(request, response) {
    const url = new URL(request.url, `http://${request.headers.host}`);
    let said = "";
    for await (const chunk of request) said += chunk;
    const send = (status, value, headers = {}) => {
      response.writeHead(status, { "content-type": "application/json", ...headers });
      response.end(value === undefined ? "" : JSON.stringify(value));
    };
    const body = said ? JSON.parse(said) : undefined;
    if (url.pathname === "/_test/mode") {
      Object.assign(mode, body);
      return send(204);
    }
    if (url.pathname === "/_test/state") return send(200, rancher.state());
    if (url.pathname === "/_test/services") {
      rancher.mirror(body);
      return send(204);
    }
    if (url.pathname === "/_test/move") {
      rancher.move(body.host);
      return send(204);
    }
    if (!isAllowed(request)) return send(401, { type: "error", status: 401, code: "Unauthorized" });
    if (request.method !== "GET" && take("busy"))
      return send(503, { type: "error", status: 503, code: "ServiceUnavailable" }, { "retry-after": "0" });
    const [status, value, headers] = answer(request, url, body);
    // The answer is lost, what it did is not.
    if (request.method !== "GET" && take("lose")) request.socket.destroy();
    else send(status, value, headers);
    return undefined;
  }

  server.on("upgrade", (request, socket, head) => {
    const [, version] =
      /^\/(v1|v2-beta)\/projects\/\w+\/subscribes?\?.*eventNames=resource\.change/.exec(request.url) ?? [];
    if (!version || !isAllowed(request) || !mode.push) {
      socket.destroy();
      return;
    }
    wss.handleUpgrade(request, socket, head, (open) => {
      const one = { socket: open, version, base: `http://${request.headers.host}/${version}/projects/${project}` };
      sockets.add(one);
      open.on("close", () => sockets.delete(one));
    });
  });
  const pings = setInterval(() => {
    for (const { socket } of sockets) socket.send(JSON.stringify({ name: "ping" }));
  }, 5_000);

  const rancher = {
    server,
    mode,
    /** Services that Rancher has learnt of: [{ namespace, name, uid, addresses }]. */
    mirror(found) {
      for (const { namespace, name, uid, addresses } of found) {
        let stack = [...stacks.values()].find((one) => one.name === namespace);
        if (!stack)
          stacks.set((stack = { id: id("st"), name: namespace, externalId: `kubernetes://${namespace}` }).id, stack);
        const there = [...services.values()].find((one) => one.uid === uid);
        if (there) there.addresses = addresses;
        else {
          const one = { id: id("s"), name, uid, stackId: stack.id, addresses };
          services.set(one.id, one);
        }
      }
      void program();
    },
    /** A load balancer is as if another program had made it: with that name and external id, and nobody's. */
    rename(name, { name: to, externalId }) {
      const one = [...balancers.values()].find((each) => each.name === name && each.state !== "removed");
      one.name = to;
      Object.assign(one.body, { name: to, externalId, metadata: undefined });
    },
    /** Load balancers are on another host from now on. */
    move(to) {
      host = to;
      for (const one of balancers.values()) {
        if (one.endpoints.length === 0) continue;
        one.endpoints = [host];
        push(one);
      }
      void program();
    },
    state() {
      const live = [...balancers.values()].filter(({ state }) => state !== "removed");
      return {
        balancers: live.map(({ name, state, body, links, endpoints }) => ({ name, state, body, links, endpoints })),
        certificates: [...certificates.values()].map(({ name }) => name),
        services: Object.fromEntries([...services.values()].map((one) => [one.id, `${one.uid}`])),
        invalid,
        log,
        subscribers: sockets.size,
      };
    },
    async close() {
      clearInterval(pings);
      haproxy?.close();
      for (const { socket } of sockets) socket.terminate();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return rancher;
}

const [port_, folder] = process.argv[1] === import.meta.filename ? process.argv.slice(2) : [];
if (port_) {
  const rancher = createRancher({ folder });
  rancher.server.listen(Number(port_), "127.0.0.1", () => console.log("ready"));
  process.on("SIGTERM", () => void rancher.close().then(() => process.exit(0)));
}
