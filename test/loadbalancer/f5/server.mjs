// A BIG-IP with AS3 and iControl REST (icontrol.mjs), as far as their contracts go: node server.mjs PORT FOLDER [TLS-PORT]. Every declaration is
// checked against F5's own schema; changes are tasks, one at a time; what is declared a real HAProxy does.  POST /_test/mode sets { delay, busy,
// fail, partial, lose, revoke, slow, expire, quirk, restart, plant }; GET /_test/state says what is there, which requests wrote and which were not
// valid. With a TLS port, FOLDER has tls.key and tls.crt.
import { randomUUID } from "node:crypto";
import { createReadStream, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { join } from "node:path";
import { createGunzip } from "node:zlib";
import Ajv from "ajv";
import { createHaproxy } from "../../support/haproxy.mjs";
import { createIcontrol } from "./icontrol.mjs";

const [port, folder, tlsPort] = process.argv.slice(2);
const validate = await schemaOf();
const haproxy = createHaproxy(folder);
const tenants = new Map();
const tasks = new Map();
const tokens = new Set();
const mode = { delay: 20, busy: 0, fail: 0, partial: 0, lose: 0, slow: 0, expire: 0, quirk: 0 };
const invalid = [];
let writes = 0;
const icontrol = createIcontrol({
  take: (name) => take(name),
  invalid,
  onChange: () => void haproxy.apply(all()),
});
const all = () => [...frontends(), ...icontrol.frontends()];

async function schemaOf() {
  let text = "";
  const file = createReadStream(join(import.meta.dirname, "as3-schema-3.52.json.gz"));
  for await (const chunk of file.pipe(createGunzip()).setEncoding("utf8")) text += chunk;
  const ajv = new Ajv.default({ strict: false, allErrors: false, validateFormats: false, logger: false });
  for (const word of ["f5PostProcess", "f5fetch"]) ajv.addKeyword(word);
  return ajv.compile(JSON.parse(text));
}

const take = (name) => mode[name] > 0 && mode[name]-- > 0;
const names = (declaration) => Object.keys(declaration).filter((name) => declaration[name]?.class === "Tenant");

/** Frontends of all tenants: the pool that a virtual server names is in its application. */
function frontends() {
  const found = [];
  for (const [name, tenant] of tenants) {
    for (const [of, application] of Object.entries(tenant)) {
      if (application?.class !== "Application") continue;
      for (const [part, service] of Object.entries(application)) {
        if (service?.class !== "Service_TCP") continue;
        const members = application[service.pool].members.flatMap(({ servicePort, serverAddresses }) =>
          serverAddresses.map((address) => ({ address, port: servicePort })),
        );
        const [address] = service.virtualAddresses;
        const sticky = service.persistenceMethods?.includes("source-address");
        found.push({ name: `${name}.${of}.${part}`, address, port: service.virtualPort, sticky, members });
      }
    }
  }
  return found;
}

/** Two virtual servers may not have one address and port. */
function clash() {
  const seen = new Set();
  for (const { address, port: number } of frontends()) {
    if (seen.has(`${address}:${number}`)) return `${address}:${number} is in use by another virtual server`;
    seen.add(`${address}:${number}`);
  }
  return undefined;
}

/** Does a change later, as a task. */
function submit(change, tenant, declaration) {
  if ([...tasks.values()].some(({ done }) => !done) || take("busy")) {
    return [
      503,
      { code: 503, message: "Configuration operation in progress on device, please try again in 2 minutes" },
    ];
  }
  if (!validate(declaration)) {
    const errors = validate.errors.map(({ instancePath, message }) => `${instancePath}: ${message}`);
    invalid.push(errors);
    return [422, { code: 422, message: "declaration is invalid", errors }];
  }
  writes++;
  const task = { id: randomUUID(), done: false, results: [{ code: 0, message: "in progress", tenant: "" }] };
  tasks.set(task.id, task);
  const work = async () => {
    const before = structuredClone([...tenants]);
    const undo = (code, message, response) => {
      tenants.clear();
      for (const [name, value] of before) tenants.set(name, value);
      task.results = [{ code, message, response, tenant }];
    };
    change();
    const why = clash();
    if (take("fail")) undo(422, "declaration failed", "01070734:3: Configuration error: injected");
    else if (take("partial")) undo(500, "failed with status", "0107: injected");
    else if (why) undo(422, "declaration failed", why);
    else {
      task.results = [{ code: 200, message: "success", tenant }];
      await haproxy.apply(all());
    }
    task.done = true;
  };
  setTimeout(() => void work(), mode.delay);
  return [202, { id: task.id, results: [{ code: 0, message: "Declaration successfully submitted", tenant: "" }] }];
}

function answer(method, url, body) {
  const [, kind, rest] = /^\/mgmt\/shared\/appsvcs\/(\w+)(?:\/(.*))?$/.exec(url.pathname) ?? [];
  if (kind === "info")
    return [200, { version: "3.52.0", release: "5", schemaCurrent: "3.52.0", schemaMinimum: "3.0.0" }];
  if (kind === "task" && rest) {
    const task = tasks.get(rest);
    return task ? [200, { id: task.id, results: task.results }] : [404, { code: 404, message: "task does not exist" }];
  }
  if (kind === "task")
    return [200, { items: [...tasks.values()].slice(-25).map(({ id, results }) => ({ id, results })) }];
  if (kind !== "declare") return [404, { code: 404, message: "not found" }];
  if (method === "GET") {
    if (!tenants.has(rest))
      return [404, { code: 404, message: "specified Tenant(s) or Application(s) not found in declaration" }];
    return [200, { class: "ADC", schemaVersion: "3.52.0", [rest]: tenants.get(rest) }];
  }
  if (method === "POST") {
    const declared = names(body?.declaration ?? {});
    if (declared.join() !== rest)
      return [422, { code: 422, message: "the tenants of the path and of the declaration differ" }];
    return submit(() => tenants.set(rest, body.declaration[rest]), rest, body);
  }
  if (method === "PATCH") {
    const ops = body.map(({ op, path, value }) => ({ op, value, at: path.split("/").slice(1) }));
    const next = structuredClone(Object.fromEntries(tenants));
    for (const {
      op,
      at: [tenant, name],
      value,
    } of ops) {
      if (!next[tenant] || (op === "remove" && !next[tenant][name]))
        return [422, { code: 422, message: `path /${tenant}/${name} does not exist` }];
      if (op === "remove") delete next[tenant][name];
      else next[tenant][name] = value;
    }
    // The patch itself, and what comes of it, are both checked.
    const whole = { class: "ADC", schemaVersion: "3.52.0", ...next };
    if (!validate(body)) {
      invalid.push(validate.errors.map(({ instancePath, message }) => `${instancePath}: ${message}`));
      return [422, { code: 422, message: "the patch is invalid" }];
    }
    const [
      {
        at: [tenant],
      },
    ] = ops;
    return submit(() => tenants.set(tenant, next[tenant]), tenant, whole);
  }
  if (method === "DELETE") {
    if (!tenants.has(rest)) return [404, { code: 404, message: "not found" }];
    return submit(() => tenants.delete(rest), rest, { class: "ADC", schemaVersion: "3.52.0" });
  }
  return [405, { code: 405, message: "no" }];
}

async function serve(request, response) {
  const url = new URL(request.url, "http://x");
  let text = "";
  for await (const chunk of request) text += chunk;
  const send = (status, value) => {
    response.writeHead(status, { "content-type": "application/json" });
    response.end(value === undefined ? "" : JSON.stringify(value));
  };
  const body = text ? JSON.parse(text) : undefined;
  if (url.pathname === "/_test/mode") {
    const { revoke, restart, plant, ...faults } = body;
    if (revoke) tokens.clear();
    if (restart) icontrol.restart();
    if (plant) icontrol.plant(plant.kind, plant.one);
    Object.assign(mode, faults);
    return send(204);
  }
  if (url.pathname === "/_test/state")
    return send(200, { tenants: Object.fromEntries(tenants), writes, invalid, icontrol: icontrol.state() });
  if (url.pathname === "/mgmt/shared/authn/login") {
    if (body.username !== "admin" || body.password !== "bigip-secret")
      return send(401, { code: 401, message: "Authentication failed." });
    const token = randomUUID();
    tokens.add(token);
    const lastUpdateMicros = Date.now() * 1_000;
    const times = { timeout: 1_200, lastUpdateMicros, expirationMicros: lastUpdateMicros + 1_200_000_000 };
    return send(200, { token: { token, name: token, userName: "admin", authProviderName: "tmos", ...times } });
  }
  if (!tokens.has(request.headers["x-f5-auth-token"]))
    return send(401, { code: 401, message: "X-F5-Auth-Token does not exist." });
  const [status, value] = url.pathname.startsWith("/mgmt/tm/")
    ? icontrol.answer(request.method, url, body, request.headers["x-f5-rest-coordination-id"])
    : answer(request.method, url, body);
  // The answer is lost, what it did is not.
  if (request.method !== "GET" && take("lose")) request.socket.destroy();
  else send(status, value);
  return undefined;
}

const handle = (request, response) => void serve(request, response);
if (tlsPort) {
  const pem = (name) => readFileSync(join(folder, name));
  const server = createTlsServer({ key: pem("tls.key"), cert: pem("tls.crt") }, handle);
  await new Promise((resolve) => server.listen(Number(tlsPort), "127.0.0.1", resolve));
}
createServer(handle).listen(Number(port), "127.0.0.1", () => console.log("ready"));

process.on("SIGTERM", () => {
  haproxy.close();
  process.exit(0);
});
