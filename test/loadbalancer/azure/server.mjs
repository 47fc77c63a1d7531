// Azure Resource Manager, as far as Microsoft.Network's contract goes: node server.mjs PORT FOLDER. Bodies are held against Microsoft's own models
// (model.mjs). Changes are operations, one at a time a resource; ETags, references, limits and use count; a real HAProxy does what a load balancer
// says, where its security group lets clients in.  POST /_test/mode sets { delay, busy, throttle, lose, fail, quota, conflict, hang, revoke };
// GET /_test/state says what is there.
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { createHaproxy } from "../../support/haproxy.mjs";
import { problemsOf } from "./model.mjs";

export const subscription = "11111111-2222-4333-8444-000000000001";
export const tenant = "11111111-2222-4333-8444-000000000002";
export const client = "11111111-2222-4333-8444-000000000003";
export const secret = "azure-correct-horse";
export const federated = "eyJhbGciOiJub25lIn0.e30.x";
const version = "2025-05-01";
const base = `/subscriptions/${subscription}/resourceGroups/lab/providers/Microsoft.Network`;
const network = `${base}/virtualNetworks/net`;
const securityGroup = `${base}/networkSecurityGroups/nodes`;
const kinds = { loadBalancers: "LoadBalancer", publicIPAddresses: "PublicIPAddress", securityRules: "SecurityRule" };

export async function startAzure(port, folder) {
  const haproxy = folder && createHaproxy(folder);
  /** By id in lower case: Azure's ids have no case. */
  const things = new Map();
  const operations = new Map();
  const busyThings = new Set();
  const tokens = new Set();
  const invalid = [];
  let writes = 0;
  let last = 10;
  const mode = { delay: 5, busy: 0, throttle: 0, lose: 0, fail: 0, quota: 0, conflict: 0, hang: 0, byLocation: 0 };
  const take = (name) => mode[name] > 0 && mode[name]-- > 0;
  const url = () => `http://127.0.0.1:${server.address().port}`;
  const error = (status, code, message, headers = {}) => [status, { error: { code, message } }, headers];
  const all = (kind) => [...things.values()].filter(({ id }) => id.split("/").at(-2) === kind);
  const key = (id) => id.toLowerCase();

  /** What is wrong with a load balancer's own references. */
  function balancerProblem(id, { properties = {}, sku, tags = {} }) {
    if (sku?.name !== "Standard") return "only Standard is served";
    if (Object.keys(tags).length > 50 || Object.values(tags).some((value) => value.length > 256))
      return "too many tags, or too long";
    const sections = ["frontendIPConfigurations", "backendAddressPools", "loadBalancingRules", "probes"];
    const ids = new Set(
      sections.flatMap((section) => (properties[section] ?? []).map(({ name }) => key(`${id}/${section}/${name}`))),
    );
    for (const section of sections) {
      const list = properties[section] ?? [];
      if (new Set(list.map(({ name }) => name)).size !== list.length) return `names in ${section} are not unique`;
      if (list.some(({ name }) => !/^[A-Za-z0-9_][\w.-]{0,79}$/.test(name)))
        return `a name in ${section} is not allowed`;
    }
    for (const { properties: of } of properties.frontendIPConfigurations ?? []) {
      if (of.publicIPAddress) {
        const address = things.get(key(of.publicIPAddress.id));
        if (address?.properties.provisioningState !== "Succeeded")
          return `ReferencedResourceNotProvisioned ${of.publicIPAddress.id}`;
        const user = all("loadBalancers").find(
          (one) =>
            one.id !== id &&
            one.properties.frontendIPConfigurations?.some(
              (each) => key(each.properties.publicIPAddress?.id ?? "") === key(of.publicIPAddress.id),
            ),
        );
        if (user) return `PublicIPAddressInUse ${user.id}`;
      } else if (key(of.subnet?.id ?? "") !== key(`${network}/subnets/nodes`))
        return `InvalidResourceReference ${of.subnet?.id}`;
    }
    for (const { properties: of } of properties.backendAddressPools ?? []) {
      for (const { properties: each } of of.loadBalancerBackendAddresses ?? [])
        if (key(each.virtualNetwork?.id ?? "") !== key(network)) return "InvalidResourceReference virtualNetwork";
    }
    const rules = (properties.loadBalancingRules ?? []).map((one) => one.properties);
    for (const of of rules) {
      for (const field of ["frontendIPConfiguration", "backendAddressPool", "probe"])
        if (!ids.has(key(of[field]?.id ?? ""))) return `InvalidResourceReference ${field} ${of[field]?.id}`;
      const same = rules.filter(
        (one) =>
          one.frontendIPConfiguration.id === of.frontendIPConfiguration.id &&
          one.protocol === of.protocol &&
          one.frontendPort === of.frontendPort,
      );
      if (same.length > 1) return "RulesUseSameFrontendPortProtocolAndIPConfig";
      const behind = rules.filter(
        (one) =>
          !of.enableFloatingIP &&
          !one.enableFloatingIP &&
          one.protocol === of.protocol &&
          one.backendPort === of.backendPort,
      );
      if (behind.length > 1) return "RulesUseSameBackendPortProtocolAndPool";
      if (of.protocol === "Udp" && of.enableTcpReset) return "EnableTcpReset is for TCP";
    }
    return undefined;
  }

  /** As Azure gives it back: with ids, and with what it has chosen. */
  function stored(kind, id, body, before) {
    const one = structuredClone(body);
    if (kind === "publicIPAddresses") one.properties.ipAddress = before?.properties.ipAddress ?? `127.97.0.${last++}`;
    if (kind === "loadBalancers") {
      for (const section of ["frontendIPConfigurations", "backendAddressPools", "loadBalancingRules", "probes"])
        for (const each of one.properties[section] ?? []) {
          Object.assign(each, {
            id: `${id}/${section}/${each.name}`,
            etag: `W/"${randomUUID()}"`,
            type: `Microsoft.Network/loadBalancers/${section}`,
          });
          each.properties.provisioningState = "Succeeded";
        }
      for (const each of one.properties.frontendIPConfigurations ?? []) {
        const old = before?.properties.frontendIPConfigurations?.find(({ name }) => name === each.name);
        if (each.properties.subnet)
          each.properties.privateIPAddress ??= old?.properties.privateIPAddress ?? `127.97.1.${last++}`;
        each.properties.loadBalancingRules = (one.properties.loadBalancingRules ?? [])
          .filter((rule) => key(rule.properties.frontendIPConfiguration.id) === key(each.id))
          .map((rule) => ({ id: rule.id }));
      }
    }
    const properties = {
      ...one.properties,
      provisioningState: "Updating",
      ...(kind === "securityRules" ? {} : { resourceGuid: randomUUID() }),
    };
    return {
      ...one,
      id,
      name: id.split("/").at(-1),
      type: `Microsoft.Network/${kind}`,
      etag: `W/"${randomUUID()}"`,
      properties,
    };
  }

  function operate(id, status, body, end) {
    const operation = { status: "InProgress" };
    const name = randomUUID();
    operations.set(name, operation);
    busyThings.add(key(id));
    const failed = take("fail") ? "InternalServerError" : undefined;
    setTimeout(
      () => {
        busyThings.delete(key(id));
        end(failed);
        Object.assign(
          operation,
          failed ? { status: "Failed", error: { code: failed, message: "injected" } } : { status: "Succeeded" },
        );
        void lead();
      },
      mode.delay + (take("hang") ? 600 : 0),
    );
    const byLocation = take("byLocation");
    const place = `${url()}/subscriptions/${subscription}/providers/Microsoft.Network/locations/lab/${byLocation ? "operationResults" : "operations"}/${name}?api-version=${version}`;
    return [
      byLocation ? 202 : status,
      byLocation ? undefined : body,
      byLocation ? { location: place } : { "azure-asyncoperation": place, location: place },
    ];
  }

  function put(kind, id, body, headers) {
    const before = things.get(key(id));
    if (busyThings.has(key(id)))
      return error(
        409,
        "AnotherOperationInProgress",
        "Another operation on this or dependent resource is in progress.",
      );
    if (before && take("conflict")) before.etag = `W/"${randomUUID()}"`;
    const [match, none] = [headers["if-match"], headers["if-none-match"]];
    if ((match && match !== before?.etag) || (none === "*" && before))
      return error(412, "PreconditionFailed", "Precondition failed.");
    if (kind === "publicIPAddresses" && !before && take("quota"))
      return error(400, "PublicIPCountLimitReached", "Cannot create more public addresses.");
    if (kind !== "securityRules" && body.location !== "lab")
      return error(400, "LocationRequired", "the location is needed");
    if (kind === "loadBalancers") {
      const problem = balancerProblem(id, body);
      if (problem) return error(problem.startsWith("PublicIPAddressInUse") ? 409 : 400, problem.split(" ")[0], problem);
    }
    if (kind === "securityRules") {
      const of = body.properties;
      const clash = all("securityRules").find(
        (one) =>
          key(one.id) !== key(id) &&
          one.properties.priority === of.priority &&
          one.properties.direction === of.direction,
      );
      if (clash) return error(400, "SecurityRuleConflict", `${clash.name} has the same priority and direction`);
      if ((of.sourceAddressPrefixes?.length ?? 0) > 0 === (of.sourceAddressPrefix !== undefined))
        return error(400, "SecurityRuleInvalidAddressPrefix", "one of the two is needed");
    }
    const next = stored(kind, id, body, before);
    things.set(key(id), next);
    return operate(id, before ? 200 : 201, next, (failed) => {
      next.properties.provisioningState = failed ? "Failed" : "Succeeded";
    });
  }

  function remove(kind, id) {
    if (!things.has(key(id))) return [204];
    if (busyThings.has(key(id))) return error(409, "AnotherOperationInProgress", "Another operation is in progress.");
    if (kind === "publicIPAddresses") {
      const user = all("loadBalancers").find(({ properties }) =>
        properties.frontendIPConfigurations?.some((one) => key(one.properties.publicIPAddress?.id ?? "") === key(id)),
      );
      if (user)
        return error(
          400,
          "PublicIPAddressCannotBeDeleted",
          `it is InUse by ${user.id}`.replace("PublicIP", "InUsePublicIP"),
        );
    }
    return operate(id, 202, undefined, (failed) => {
      if (!failed) things.delete(key(id));
    });
  }

  function answer(method, id, query, body, headers) {
    if (query.get("api-version") !== version)
      return error(400, "InvalidApiVersionParameter", "the API version is needed");
    const [, where, name] = /\/locations\/lab\/(operations|operationResults)\/([\w-]+)$/.exec(id) ?? [];
    if (name) {
      const operation = operations.get(name);
      if (!operation) return error(404, "NotFound", "no such operation");
      if (where === "operations") return [200, operation];
      return operation.status === "InProgress"
        ? [202, undefined, { location: `${url()}${id}?api-version=${version}` }]
        : [200, {}];
    }
    if (!key(id).startsWith(key(base)))
      return error(404, "ResourceGroupNotFound", "Resource group could not be found.");
    if (key(id) === key(securityGroup))
      return [
        200,
        {
          id,
          name: "nodes",
          etag: "x",
          properties: { securityRules: all("securityRules"), provisioningState: "Succeeded" },
        },
      ];
    if (method === "GET" && id === `${base}/publicIPAddresses`) {
      const from = Number(query.get("$skip") ?? 0);
      const list = all("publicIPAddresses");
      const next = from + 2 < list.length ? { nextLink: `${url()}${id}?api-version=${version}&$skip=${from + 2}` } : {};
      return [200, { value: list.slice(from, from + 2), ...next }];
    }
    const kind = id.split("/").at(-2);
    if (method === "GET") {
      const found = things.get(key(id));
      return found ? [200, found] : error(404, "ResourceNotFound", `The Resource '${id}' was not found.`);
    }
    const model = kinds[kind];
    const problems = !model
      ? [`${method} ${id} is not known`]
      : method === "PUT"
        ? problemsOf(model, body)
        : body === undefined
          ? []
          : ["no body is taken"];
    if (problems.length > 0) {
      invalid.push({ id, problems });
      return error(400, "InvalidRequestFormat", problems.join("; "));
    }
    writes++;
    return method === "PUT" ? put(kind, id, body, headers) : remove(kind, id);
  }

  /** Rules that let clients of the Internet, or of the network, to nodes. */
  function isOpen(rule, address, isPublic) {
    const dropped = (one) => one.properties.access === "Deny";
    const fits = ({ properties: of }) =>
      of.protocol === rule.protocol &&
      of.destinationPortRanges.includes(String(rule.backendPort)) &&
      of.destinationAddressPrefixes.includes(rule.enableFloatingIP ? address : (rule.members[0] ?? ""));
    const found = all("securityRules")
      .filter(fits)
      .sort((a, b) => a.properties.priority - b.properties.priority);
    const first = found.find(
      (one) =>
        dropped(one) ||
        one.properties.sourceAddressPrefix === "Internet" ||
        one.properties.sourceAddressPrefixes?.some((range) => range.startsWith("127.")),
    );
    return first ? !dropped(first) : !isPublic;
  }

  function frontends() {
    return all("loadBalancers").flatMap(({ properties }) =>
      (properties.loadBalancingRules ?? []).flatMap(({ name, properties: rule }) => {
        if (rule.protocol !== "Tcp") return [];
        const frontend = properties.frontendIPConfigurations.find(
          ({ id }) => key(id) === key(rule.frontendIPConfiguration.id),
        ).properties;
        const address = frontend.publicIPAddress
          ? things.get(key(frontend.publicIPAddress.id))?.properties.ipAddress
          : frontend.privateIPAddress;
        const pool = properties.backendAddressPools.find(
          ({ id }) => key(id) === key(rule.backendAddressPool.id),
        ).properties;
        const members = pool.loadBalancerBackendAddresses.map((one) => one.properties.ipAddress);
        if (!isOpen({ ...rule, members }, address, Boolean(frontend.publicIPAddress))) return [];
        return [
          {
            name,
            address,
            port: rule.frontendPort,
            sticky: rule.loadDistribution === "SourceIP",
            members: members.map((one) => ({ address: one, port: rule.backendPort })),
          },
        ];
      }),
    );
  }
  const lead = () => haproxy?.apply(frontends());

  function login(form) {
    if (form.get("client_id") !== client || form.get("grant_type") !== "client_credentials")
      return [400, { error: "unauthorized_client", error_description: "AADSTS700016" }];
    if (form.get("scope") !== "https://management.azure.com/.default") return [400, { error: "invalid_scope" }];
    const isKnown =
      form.get("client_secret") === secret ||
      (form.get("client_assertion") === federated &&
        form.get("client_assertion_type") === "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    return isKnown
      ? [200, issue()]
      : [401, { error: "invalid_client", error_description: `AADSTS7000215: ${form.get("client_secret")}` }];
  }
  function issue() {
    const token = randomUUID();
    tokens.add(token);
    return { token_type: "Bearer", expires_in: 3_599, access_token: token };
  }

  async function serve(request, response) {
    const { pathname, searchParams } = new URL(request.url, "http://x");
    let text = "";
    for await (const chunk of request) text += chunk;
    const send = (status, value, headers = {}) => {
      response.writeHead(status, { "content-type": "application/json", "x-ms-request-id": randomUUID(), ...headers });
      response.end(value === undefined ? "" : JSON.stringify(value));
    };
    if (pathname === `/${tenant}/oauth2/v2.0/token`) return send(...login(new URLSearchParams(text)));
    if (pathname === "/metadata/identity/oauth2/token") {
      const isAsked =
        request.headers.metadata === "true" && searchParams.get("resource") === "https://management.azure.com/";
      const { expires_in: lives, ...rest } = issue();
      return isAsked ? send(200, { ...rest, expires_in: String(lives) }) : send(400, { error: "invalid_request" });
    }
    const body = text ? JSON.parse(text) : undefined;
    if (pathname === "/_test/mode") {
      if (body.revoke) tokens.clear();
      Object.assign(mode, body);
      return send(204);
    }
    if (pathname === "/_test/foreign") {
      // What somebody else has in the load balancer.
      for (const one of all("loadBalancers"))
        one.properties.probes.push({
          name: "foreign",
          id: `${one.id}/probes/foreign`,
          properties: { protocol: "Tcp", port: 7, provisioningState: "Succeeded" },
        });
      return send(204);
    }
    if (pathname === "/_test/change") {
      // What somebody else does: takes all of a kind away, or puts something in the place of what is at the end of a path in each.
      const { kind, at, value } = body;
      for (const one of all(kind)) {
        if (at === undefined) things.delete(key(one.id));
        else {
          const [last, ...rest] = [...at].reverse();
          const parent = rest.reduceRight((found, step) => found[step], one.properties);
          parent[last] = value;
          one.etag = `W/"${randomUUID()}"`;
        }
      }
      return send(204);
    }
    if (pathname === "/_test/state") return send(200, { things: [...things.values()], invalid, writes });
    if (!tokens.has(/^Bearer (.+)$/.exec(request.headers.authorization ?? "")?.[1]))
      return send(...error(401, "InvalidAuthenticationToken", "The access token is invalid."));
    if (take("busy")) return send(...error(503, "ServiceUnavailable", "try again"));
    if (take("throttle")) return send(...error(429, "TooManyRequests", "too many", { "retry-after": "0" }));
    const result = answer(request.method, pathname, searchParams, body, request.headers);
    // The answer is lost, what it did is not.
    if (request.method !== "GET" && take("lose")) request.socket.destroy();
    else send(...result);
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
  const post = async (path, value = {}) =>
    void (await fetch(`${url()}${path}`, { method: "POST", body: JSON.stringify(value) }));
  return {
    url: url(),
    state: async () => (await fetch(`${url()}/_test/state`)).json(),
    mode: (value) => post("/_test/mode", value),
    addForeign: () => post("/_test/foreign"),
    change: (kind, at, value) => post("/_test/change", { kind, at, value }),
    close() {
      haproxy?.close();
      server.closeAllConnections();
      server.close();
    },
  };
}

if (process.argv[1] === import.meta.filename) {
  const [port, folder] = process.argv.slice(2);
  const azure = await startAzure(Number(port), folder);
  process.on("SIGTERM", () => {
    azure.close();
    process.exit(0);
  });
  console.log("ready");
}
