// Google's Compute Engine, as far as its contract goes: node server.mjs PORT PUBLIC_KEY_FILE [FOLDER]. Every request is held against Google's own discovery
// document (model.mjs). Changes are operations; what they name has to be there; names, fingerprints, use and quotas count. What is to be reached
// is a route of a client's namespace, as passthrough balancers lead packets on as they are: POST /_test/network { namespace, via: { ADDRESS:
// GATEWAY } }.  POST /_test/mode sets { delay, busy, rate, lose, fail, quota, conflict, hang, revoke }; GET /_test/state says what is there.
import { execFile } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { importSPKI, jwtVerify } from "jose";
import { createHaproxy } from "../../support/haproxy.mjs";
import { frontendsOf, httpRefusal, referencesOf } from "./http.mjs";
import { read } from "./model.mjs";

export const project = "lab-project";
export const account = "balancers@lab-project.iam.gserviceaccount.com";

const grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/** Networks, subnetworks and machines that there are, and addresses that are given. */
const network = `projects/${project}/global/networks/default`;
const subnetwork = `projects/${project}/regions/r1/subnetworks/default`;
const machines = new Map([
  ["node-1", "z1"],
  ["node-2", "z1"],
  ["node-3", "z1"],
  ["node-4", "z2"],
]);
const nodeTag = "nodes";

export async function startGce(port, publicKey, folder) {
  const haproxy = folder && createHaproxy(folder);
  const key = await importSPKI(publicKey, "RS256");
  const base = () => `http://127.0.0.1:${server.address().port}`;
  /** By `kind/scope/name`. */
  const things = new Map();
  const endpoints = new Map();
  /** Keys of certificates, which are never shown. */
  const certificates = new Map();
  const operations = new Map();
  const tokens = new Set();
  const invalid = [];
  const writes = [];
  const mode = { delay: 5, busy: 0, rate: 0, lose: 0, fail: 0, quota: 0, conflict: 0, hang: 0 };
  let route;
  let last = 10;
  const take = (name) => mode[name] > 0 && mode[name]-- > 0;

  const urlOf = (path) => `https://www.googleapis.com/compute/v1/${path}`;
  const pathOf = (url) => String(url).replace(/^https:\/\/(www|compute)\.googleapis\.com\/compute\/v1\//, "");
  const keyOf = (kind, params, name) => `projects/${project}/${scopeOf(params)}/${kind}/${name}`;
  const scopeOf = ({ region, zone }) => (region ? `regions/${region}` : zone ? `zones/${zone}` : "global");
  const fingerprint = (value) => createHash("sha256").update(JSON.stringify(value)).digest("base64").slice(0, 12);
  const error = (code, reason, message) => [
    code,
    { error: { code, message, errors: [{ message, domain: "global", reason }] } },
  ];
  const fault = (code, message) => Object.assign(new Error(message), { code });

  /** What the resource that is named does not have: an answer at once, as Compute Engine gives it. */
  function refusal(kind, body, params, existing) {
    const exists = (url, what) =>
      things.has(pathOf(url)) ? undefined : `The resource '${pathOf(url)}' was not found (${what})`;
    const one = { ...existing, ...body };
    const http = httpRefusal(kind, one, { exists, things, pathOf, all, network });
    if (http !== undefined) return http || undefined;
    if (kind === "networkEndpointGroups") {
      if (!["GCE_VM_IP", "GCE_VM_IP_PORT"].includes(one.networkEndpointType)) return "no such type";
      if (one.subnetwork !== subnetwork || one.network !== network)
        return "Invalid value for field 'resource.subnetwork'";
    }
    if (kind === "backendServices") {
      for (const { group, balancingMode } of one.backends ?? []) {
        if (balancingMode !== "CONNECTION") return "Invalid value for field 'balancingMode'";
        const problem = exists(group, "group");
        if (problem) return problem;
      }
      if (one.healthChecks?.length !== 1) return "a backend service needs one health check";
      return exists(one.healthChecks[0], "health check");
    }
    if (kind === "addresses" && one.addressType === "INTERNAL" && one.subnetwork !== subnetwork)
      return "an internal address needs a subnetwork";
    if (kind === "firewalls" && one.network !== network) return "no such network";
    if (kind === "forwardingRules") {
      const reserved = all("addresses").find(({ address }) => address === one.IPAddress);
      if (!reserved) return `the address ${one.IPAddress} is not reserved`;
      if (reserved.addressType !== one.loadBalancingScheme) return "the address is of another scheme";
      if (one.ports?.length > 5) return "Too many ports specified. Maximum is 5.";
      if (!one.ports === !one.allPorts) return "one of ports and allPorts is needed";
      const shares = all("forwardingRules").filter((other) => other.IPAddress === one.IPAddress);
      const clash = shares.find(
        (other) =>
          other.IPProtocol === one.IPProtocol &&
          (other.allPorts || one.allPorts || other.ports.some((each) => one.ports.includes(each))),
      );
      if (clash) return `Invalid value for field 'resource.IPAddress': in conflict with ${clash.name}`;
      if (shares.length > 0 && reserved.addressType === "INTERNAL" && reserved.purpose !== "SHARED_LOADBALANCER_VIP")
        return "the address is in use";
      const problem = exists(one.backendService, "backendService");
      if (problem) return problem;
      if (things.get(pathOf(one.backendService)).loadBalancingScheme !== one.loadBalancingScheme)
        return "schemes differ";
    }
    return undefined;
  }

  const all = (kind) => [...things].filter(([path]) => path.includes(`/${kind}/`)).map(([, one]) => one);
  const users = (path) =>
    [...things].filter(([other, one]) => {
      if (other === path) return false;
      const names = [
        one.backendService,
        ...(one.healthChecks ?? []),
        ...(one.backends ?? []).map(({ group }) => group),
        ...referencesOf(one),
      ];
      const { address } = things.get(path);
      return (
        names.some((name) => name && pathOf(name) === path) || (address !== undefined && one.IPAddress === address)
      );
    });

  /** What is there when an operation ends. */
  function settle(kind, body, params, path) {
    const self = urlOf(path);
    const place = params.zone
      ? { zone: urlOf(`projects/${project}/zones/${params.zone}`) }
      : params.region
        ? { region: urlOf(`projects/${project}/regions/${params.region}`) }
        : {};
    const made = { ...body, kind: `compute#${kind.replace(/(s|es)$/, "")}`, id: "1", selfLink: self, ...place };
    if (kind === "addresses") {
      if (made.address && all(kind).some(({ address }) => address === made.address))
        throw fault("IP_IN_USE_BY_ANOTHER_RESOURCE", "the address is reserved already");
      made.address ??= made.addressType === "INTERNAL" ? `10.240.9.${last++}` : `203.0.113.${last++}`;
      made.status = "RESERVED";
    }
    if (kind === "backendServices") {
      made.healthChecks = made.healthChecks.map((one) => urlOf(pathOf(one)));
      made.backends = (made.backends ?? []).map((one) => ({ ...one, group: urlOf(pathOf(one.group)) }));
    }
    for (const name of ["backendService", "target", "urlMap", "defaultService"])
      if (made[name]) made[name] = urlOf(pathOf(made[name]));
    if (made.privateKey) certificates.set(path, `${made.certificate.trim()}\n${made.privateKey}`);
    delete made.privateKey;
    things.set(path, { ...made, fingerprint: fingerprint({ ...made, at: randomUUID() }) });
  }

  function operate(type, params, work) {
    const name = `operation-${randomUUID()}`;
    const scope = scopeOf(params);
    const operation = { kind: "compute#operation", id: "1", name, operationType: type, status: "RUNNING", progress: 0 };
    operations.set(`${scope}/${name}`, operation);
    const failed = take("fail") ? "INTERNAL_ERROR" : type === "insert" && take("quota") ? "QUOTA_EXCEEDED" : undefined;
    const end = () => {
      try {
        if (failed) throw fault(failed, `injected: ${failed}`);
        work();
      } catch (thrown) {
        Object.assign(operation, {
          error: { errors: [{ code: thrown.code ?? "INTERNAL_ERROR", message: thrown.message }] },
          httpErrorStatusCode: 400,
        });
      }
      Object.assign(operation, { status: "DONE", progress: 100 });
      void lead();
    };
    setTimeout(end, mode.delay + (take("hang") ? 600 : 0));
    return [200, { ...operation }];
  }

  function answer(id, params, query, body) {
    const [, kind = "", verb = ""] = id.split(".");
    const of = kind.replace(/^region(.)/, (_, letter) => letter.toLowerCase());
    if (params.project !== project) return error(403, "forbidden", `no permission on project ${params.project}`);
    if (kind.endsWith("Operations")) {
      const operation = operations.get(`${scopeOf(params)}/${params.operation}`);
      return operation ? [200, operation] : error(404, "notFound", "no such operation");
    }
    if (verb === "list" || verb === "aggregatedList") {
      const [, pattern] = /^name eq "(.*)"$/.exec(query.get("filter") ?? 'name eq ".*"') ?? [];
      if (pattern === undefined) return error(400, "invalid", "Invalid list filter expression.");
      const found = all(of).filter(({ name }) => new RegExp(`^(?:${pattern})$`).test(name));
      // Two a page, so that pages are read.
      const from = Number(query.get("pageToken") ?? 0);
      const some = found.slice(from, from + 2);
      const next = from + 2 < found.length ? { nextPageToken: String(from + 2) } : {};
      if (verb === "list") return [200, { ...(some.length > 0 ? { items: some } : {}), ...next }];
      const items = { "zones/z9": { warning: { code: "NO_RESULTS_ON_PAGE" } } };
      for (const one of some) (items[`zones/${one.zone.split("/").at(-1)}`] ??= { [of]: [] })[of].push(one);
      return [200, { items, ...next }];
    }
    const [named] = Object.entries(params).flatMap(([of_, value]) =>
      ["project", "region", "zone"].includes(of_) ? [] : [value],
    );
    const path = keyOf(of, params, named ?? body.name);
    const existing = things.get(path);
    if (verb === "insert") {
      if (existing) return error(409, "alreadyExists", `The resource '${path}' already exists`);
      const problem = refusal(of, body, params);
      if (problem) return error(400, "invalid", problem);
      return operate("insert", params, () => {
        if (things.has(path)) throw fault("RESOURCE_ALREADY_EXISTS", `The resource '${path}' already exists`);
        settle(of, body, params, path);
      });
    }
    if (!existing) return error(404, "notFound", `The resource '${path}' was not found`);
    if (verb === "get") return [200, existing];
    if (verb === "delete") {
      const [user] = users(path);
      if (user) return error(400, "resourceInUseByAnotherResource", `'${path}' is already being used by '${user[0]}'`);
      return operate("delete", params, () => {
        if (users(path).length > 0) throw fault("RESOURCE_IN_USE_BY_ANOTHER_RESOURCE", "it is in use");
        things.delete(path);
        endpoints.delete(path);
      });
    }
    if (verb === "setUrlMap" || verb === "setSslCertificates") {
      const problem = refusal(of, body, params, existing);
      if (problem) return error(400, "invalid", problem);
      return operate(verb, params, () => settle(of, { ...things.get(path), ...body }, params, path));
    }
    if (verb === "patch" || verb === "update") {
      if (of === "backendServices" || of === "urlMaps") {
        if (take("conflict")) things.set(path, { ...existing, fingerprint: fingerprint(randomUUID()) });
        if (body.fingerprint !== things.get(path).fingerprint)
          return error(412, "conditionNotMet", "Invalid fingerprint.");
      }
      const kept = () => (verb === "patch" ? things.get(path) : {});
      const problem = refusal(of, body, params, kept());
      if (problem) return error(400, "invalid", problem);
      return operate(verb, params, () => settle(of, { ...kept(), ...body }, params, path));
    }
    const list = endpoints.get(path) ?? [];
    if (verb === "listNetworkEndpoints") {
      return [
        200,
        {
          items: list.map((one) => ({
            networkEndpoint: {
              ...one,
              instance: urlOf(`projects/${project}/zones/${params.zone}/instances/${one.instance}`),
            },
          })),
        },
      ];
    }
    const members = body.networkEndpoints;
    if (verb === "attachNetworkEndpoints") {
      const stranger = members.find(({ instance }) => machines.get(instance) !== params.zone);
      if (stranger) return error(400, "invalid", `instance ${stranger.instance} is not in zone ${params.zone}`);
      const isWithPorts = existing.networkEndpointType === "GCE_VM_IP_PORT";
      if (members.some((one) => isWithPorts !== Number.isInteger(one.port)))
        return error(400, "invalid", `Invalid value for field 'port' of ${existing.networkEndpointType}`);
    }
    return operate(verb, params, () => {
      const rest = (endpoints.get(path) ?? []).filter(
        (one) => !members.some(({ instance, port: of }) => instance === one.instance && of === one.port),
      );
      endpoints.set(path, verb === "attachNetworkEndpoints" ? [...rest, ...members] : rest);
    });
  }

  const ip = (...args) => new Promise((resolve) => execFile("ip", args, (problem) => resolve(!problem)));

  /** Firewall rules let it in: what is not allowed is dropped. */
  const isOpen = (protocol, ports, to) =>
    all("firewalls").some(
      (one) =>
        one.targetTags?.includes(nodeTag) &&
        (!one.destinationRanges || one.destinationRanges.includes(`${to}/32`)) &&
        one.allowed.some((each) => each.IPProtocol === protocol && ports.every((each_) => each.ports.includes(each_))),
    );

  /** Why machines are not sent to, for who reads a test's failure. */
  const unhealthy = new Map();
  async function isHealthy({ ipAddress }, { httpHealthCheck: { port: number, requestPath } }) {
    const url = `http://${ipAddress}:${number}${requestPath}`;
    const why = isOpen("tcp", [String(number)], ipAddress)
      ? await fetch(url, { signal: AbortSignal.timeout(5_000) }).then(
          ({ status }) => (status === 200 ? "" : String(status)),
          (problem) => String(problem.cause ?? problem),
        )
      : "no firewall rule lets health checks in";
    if (why) unhealthy.set(url, why);
    else unhealthy.delete(url);
    return !why;
  }

  /** Leads packets for addresses of forwarding rules to the first healthy machine behind them. */
  async function program() {
    const proxies = frontendsOf({ things, endpoints, pathOf, all, isOpen, certificates });
    if (haproxy) {
      for (const { address } of proxies) await ip("route", "replace", "local", `${address}/32`, "dev", "lo");
      await haproxy.apply(proxies);
    }
    if (!route) return;
    const wanted = new Map();
    for (const rule of all("forwardingRules").filter(({ backendService }) => backendService)) {
      const service = things.get(pathOf(rule.backendService));
      if (!service || !isOpen(rule.IPProtocol.toLowerCase(), rule.ports ?? [], rule.IPAddress)) continue;
      const check = things.get(pathOf(service.healthChecks[0]));
      const members = service.backends.flatMap(({ group }) => endpoints.get(pathOf(group)) ?? []);
      for (const member of members)
        if (!wanted.has(rule.IPAddress) && (await isHealthy(member, check)))
          wanted.set(rule.IPAddress, route.via[member.ipAddress]);
    }
    for (const [address, gateway] of wanted) {
      if (
        routed.get(address) !== gateway &&
        (await ip("-n", route.namespace, "route", "replace", `${address}/32`, "via", gateway))
      )
        routed.set(address, gateway);
    }
    for (const address of routed.keys()) {
      if (!wanted.has(address) && (await ip("-n", route.namespace, "route", "del", `${address}/32`)))
        routed.delete(address);
    }
  }
  const routed = new Map();
  let turn = Promise.resolve();
  const lead = () => (turn = turn.then(program).catch((problem) => console.error(String(problem))));
  // Machines become healthy and fail by themselves.
  const timer = setInterval(() => (route || haproxy) && lead(), 500);

  async function login(form) {
    if (form.get("grant_type") !== grant) return [400, { error: "unsupported_grant_type" }];
    try {
      const { payload, protectedHeader } = await jwtVerify(form.get("assertion") ?? "", key, {
        issuer: account,
        audience: `${base()}/token`,
        algorithms: ["RS256"],
      });
      if (
        payload.scope !== "https://www.googleapis.com/auth/compute" ||
        payload.exp - payload.iat > 3_600 ||
        protectedHeader.kid !== "key-1"
      )
        return [400, { error: "invalid_scope" }];
    } catch (problem) {
      return [400, { error: "invalid_grant", error_description: String(problem.message) }];
    }
    return [200, issue()];
  }
  const issue = () => {
    const token = `ya29.${randomUUID()}`;
    tokens.add(token);
    return { access_token: token, expires_in: 3_599, token_type: "Bearer" };
  };

  async function serve(request, response) {
    const url = new URL(request.url, "http://x");
    let text = "";
    for await (const chunk of request) text += chunk;
    const send = (status, value) => {
      response.writeHead(status, { "content-type": "application/json" });
      response.end(value === undefined ? "" : JSON.stringify(value));
    };
    if (url.pathname === "/token") return send(...(await login(new URLSearchParams(text))));
    if (url.pathname === "/computeMetadata/v1/instance/service-accounts/default/token") {
      return request.headers["metadata-flavor"] === "Google" ? send(200, issue()) : send(403, {});
    }
    const body = text ? JSON.parse(text) : undefined;
    if (url.pathname === "/_test/mode") {
      if (body.revoke) tokens.clear();
      Object.assign(mode, body);
      return send(204);
    }
    if (url.pathname === "/_test/network") {
      route = body;
      return send(204);
    }
    if (url.pathname === "/_test/state") {
      const endpointsOf = Object.fromEntries(endpoints);
      return send(200, {
        things: Object.fromEntries(things),
        endpoints: endpointsOf,
        invalid,
        writes: writes.length,
        routed: Object.fromEntries(routed),
        unhealthy: [...unhealthy],
      });
    }
    if (!tokens.has(/^Bearer (.+)$/.exec(request.headers.authorization ?? "")?.[1])) {
      return send(...error(401, "authError", "Request had invalid authentication credentials."));
    }
    const path = url.pathname.replace(/^\/compute\/v1/, "");
    const { id, params, problems } = read(request.method, path, url.searchParams, body);
    if (problems.length > 0) {
      invalid.push({ id, problems });
      return send(...error(400, "invalid", problems.join("; ")));
    }
    if (take("busy")) return send(...error(503, "backendError", "Backend Error"));
    if (take("rate")) return send(...error(403, "rateLimitExceeded", "Rate Limit Exceeded"));
    const isWrite = request.method !== "GET" && !id.endsWith("listNetworkEndpoints");
    if (isWrite) writes.push(`${request.method} ${path}`);
    const [status, value] = answer(id, params, url.searchParams, body);
    // The answer is lost, what it did is not.
    if (isWrite && take("lose")) request.socket.destroy();
    else send(status, value);
    return undefined;
  }

  const server = createServer(
    (request, response) =>
      void serve(request, response).catch((problem) => {
        console.error(problem);
        response.destroy();
      }),
  );
  await new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
  return {
    url: base(),
    /** For a hand that changes something. */
    token: () => issue().access_token,
    state: async () => (await fetch(`${base()}/_test/state`)).json(),
    mode: async (value) => void (await fetch(`${base()}/_test/mode`, { method: "POST", body: JSON.stringify(value) })),
    close() {
      clearInterval(timer);
      haproxy?.close();
      server.closeAllConnections();
      server.close();
    },
  };
}

if (process.argv[1] === import.meta.filename) {
  const [port, file, folder] = process.argv.slice(2);
  const gce = await startGce(Number(port), readFileSync(file, "utf8"), folder);
  process.on("SIGTERM", () => {
    gce.close();
    process.exit(0);
  });
  console.log("ready");
}
