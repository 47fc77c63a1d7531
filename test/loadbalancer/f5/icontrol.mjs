// A BIG-IP's iControl REST, as far as partitions, monitors, nodes, pools, virtual servers and transactions go. Bodies are held against the
// fields of F5's documentation (there is no machine-readable model that may be had), and what refers to what is checked as a BIG-IP does.
import { isIP } from "node:net";
import Ajv from "ajv";

const text = { type: "string", minLength: 1, maxLength: 1_000 };
const name = { type: "string", pattern: "^[A-Za-z0-9][A-Za-z0-9_.:-]{0,250}$" };
const path = { type: "string", pattern: "^/[A-Za-z0-9_.-]+/[A-Za-z0-9_.:-]+$" };
const partition = { type: "string", pattern: "^[A-Za-z][A-Za-z0-9_.-]*$" };
const member = {
  type: "object",
  required: ["name", "partition"],
  properties: { name: { type: "string", pattern: "^.+[.:][0-9]{1,5}$" }, partition },
  additionalProperties: false,
};
const body = (required, properties) => ({ type: "object", required, properties, additionalProperties: false });
const virtual = {
  description: text,
  pool: path,
  persist: {
    type: "array",
    maxItems: 1,
    items: body(["name", "partition"], { name: { enum: ["source_addr", "cookie", "hash"] }, partition }),
  },
  sourceAddressTranslation: body(["type"], { type: { enum: ["automap", "none"] } }),
};
const pool = { description: text, monitor: path };
const monitor = { description: text, send: text, recv: text };
const schemas = {
  "POST /auth/partition": body(["name"], { name: partition }),
  "POST /transaction": body([], {}),
  "PATCH /transaction": body(["state"], { state: { const: "VALIDATING" } }),
  "POST /sys/config": body(["command"], { command: { const: "save" } }),
  "POST /ltm/node": body(["name", "partition", "address"], { name, partition, address: text, description: text }),
  "POST /ltm/monitor/http": body(["name", "partition"], {
    ...monitor,
    name,
    partition,
    defaultsFrom: { const: "/Common/http" },
    destination: { type: "string", pattern: "^\\*:[0-9]{1,5}$" },
  }),
  "PATCH /ltm/monitor/http": body([], monitor),
  "POST /ltm/pool": body(["name", "partition"], {
    ...pool,
    name,
    partition,
    members: { type: "array", items: member },
  }),
  "PATCH /ltm/pool": body([], pool),
  "POST /ltm/pool/members": member,
  "POST /ltm/virtual": body(["name", "partition", "destination", "ipProtocol"], {
    ...virtual,
    name,
    partition,
    destination: { type: "string", pattern: "^/[A-Za-z0-9_.-]+/[0-9a-f.:]+$" },
    mask: { enum: ["255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"] },
    ipProtocol: { enum: ["tcp", "udp", "sctp"] },
  }),
  "PATCH /ltm/virtual": body([], virtual),
};

class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}
const no = (status, message) => {
  throw new Refusal(status, message);
};

/** `take` says whether a fault is due; `onChange` is told after each change. */
export function createIcontrol({ take, invalid, onChange }) {
  const ajv = new Ajv.default({ strict: false, logger: false });
  const checks = new Map(Object.entries(schemas).map(([of, schema]) => [of, ajv.compile(schema)]));
  let config = { partitions: ["Common"], node: [], "monitor/http": [], pool: [], virtual: [] };
  let saved = structuredClone(config);
  const transactions = new Map();
  let nextId = 1_389_812_351;
  let writes = 0;

  const full = (one) => `/${one.partition}/${one.name}`;
  const find = (state, kind, of) => state[kind].find((one) => full(one) === of);
  const isBuiltIn = (monitorPath) => ["/Common/tcp", "/Common/gateway_icmp", "/Common/http"].includes(monitorPath);
  const labels = { node: "Node", "monitor/http": "Monitor", pool: "Pool", virtual: "Virtual Server" };

  /** `web:80`, `2001:db8::1.80` */
  function split(endpoint) {
    const at = endpoint.split(":").length > 2 ? endpoint.lastIndexOf(".") : endpoint.lastIndexOf(":");
    const port = Number(endpoint.slice(at + 1));
    if (at < 1 || !Number.isInteger(port) || port > 65_535) no(400, `01070734:3: no address with a port: ${endpoint}`);
    return { host: endpoint.slice(0, at), port };
  }
  function checkPool(state, { monitor: of }) {
    if (of && !isBuiltIn(of) && !find(state, "monitor/http", of))
      no(400, `01070726:3: Pool refers to monitor (${of}), which was not found.`);
  }
  function addMember(state, owner, { name: of, partition: where }) {
    const { host } = split(of);
    const node = find(state, "node", `/${where}/${host}`);
    if (!node) no(404, `01020036:3: The requested Node (/${where}/${host}) was not found.`);
    if (owner.members.some((one) => one.name === of && one.partition === where))
      no(409, `01020066:3: The requested Pool Member (${full(owner)} ${of}) already exists.`);
    owner.members.push({ name: of, partition: where, address: node.address });
  }
  function checkVirtual(state, one) {
    if (one.pool && !find(state, "pool", one.pool)) no(400, `01070712:3: pool (${one.pool}) was not found.`);
    const { host, port } = split(one.destination.slice(one.destination.lastIndexOf("/") + 1));
    if (isIP(host) === 0) no(400, `01070734:3: ${host} is no address.`);
    if ((isIP(host) === 6) !== one.mask.includes(":")) no(400, "01070739:3: the mask is of another family.");
    for (const other of state.virtual) {
      if (full(other) === full(one) || other.ipProtocol !== one.ipProtocol) continue;
      const at = split(other.destination.slice(other.destination.lastIndexOf("/") + 1));
      if (at.host === host && at.port === port)
        no(
          400,
          `01070333:3: Virtual Server ${full(one)} illegally shares destination address and port with ${full(other)}.`,
        );
    }
  }

  /** Does one command, on a copy. */
  function run(state, { method, kind, of, below, json }) {
    const label = labels[kind];
    if (method === "POST" && below === undefined) {
      if (!state.partitions.includes(json.partition)) no(400, `01070734:3: folder /${json.partition} was not found.`);
      if (find(state, kind, full(json)))
        no(409, `01020066:3: The requested ${label} (${full(json)}) already exists in partition ${json.partition}.`);
      const { members = [], ...one } = json;
      if (kind === "node") {
        if (isIP(one.address) === 0) no(400, `01070734:3: ${one.address} is no address.`);
        const same = state.node.find(({ address }) => address === one.address);
        if (same) no(400, `0107176c:3: Invalid Node, the IP address ${one.address} already exists as ${full(same)}.`);
      }
      if (kind === "pool") {
        checkPool(state, one);
        one.members = [];
        for (const each of members) addMember(state, one, each);
      }
      if (kind === "virtual") checkVirtual(state, one);
      state[kind].push(one);
      return;
    }
    const found = find(state, kind, of);
    if (!found) no(404, `01020036:3: The requested ${label} (${of}) was not found.`);
    if (below !== undefined) {
      if (method === "POST") {
        addMember(state, found, json);
        return;
      }
      const at = found.members.findIndex((one) => full(one) === below);
      if (at < 0) no(404, `01020036:3: The requested Pool Member (${of} ${below}) was not found.`);
      found.members.splice(at, 1);
      return;
    }
    if (method === "PATCH") {
      Object.assign(found, json);
      if (kind === "pool") checkPool(state, found);
      if (kind === "virtual") checkVirtual(state, found);
      return;
    }
    const user =
      (kind === "pool" && state.virtual.find((one) => one.pool === of)) ||
      (kind === "monitor/http" && state.pool.find((one) => one.monitor === of)) ||
      (kind === "node" &&
        state.pool.find(({ members }) => members.some((one) => `/${one.partition}/${split(one.name).host}` === of)));
    if (user) no(400, `01070265:3: The ${label} (${of}) cannot be deleted because it is in use by ${full(user)}.`);
    state[kind].splice(state[kind].indexOf(found), 1);
  }

  function commit(commands) {
    const next = structuredClone(config);
    for (const command of commands) run(next, command);
    if (take("fail")) no(400, "01070734:3: Configuration error: injected");
    config = next;
  }

  const shown = (kind, one) => {
    const selfLink = `https://localhost/mgmt/tm/ltm/${kind}/~${one.partition}~${one.name}?ver=16.1.3`;
    const base = {
      kind: `tm:ltm:${kind.replace("/", ":")}:${kind.split("/").at(-1)}state`,
      fullPath: full(one),
      generation: 1,
      selfLink,
    };
    if (kind !== "pool") return { ...base, ...one, ...(one.persist?.length === 0 ? { persist: undefined } : {}) };
    const { members, ...rest } = one;
    const place = `https://localhost/mgmt/tm/ltm/pool/~${one.partition}~${one.name}/members`;
    const items = members.map((each) => ({
      kind: "tm:ltm:pool:members:membersstate",
      fullPath: full(each),
      selfLink: `${place}/~${each.partition}~${each.name}?ver=16.1.3`,
      ...each,
    }));
    const link = `${place}?ver=16.1.3`;
    // A real one writes a space after the monitor.
    const membersReference = { link, isSubcollection: true, ...(items.length > 0 ? { items } : {}) };
    return { ...base, ...rest, monitor: `${rest.monitor ?? ""} `, membersReference };
  };

  function check(key, json) {
    const one = checks.get(key);
    if (!one) no(404, `Public URI path not registered: ${key}`);
    if (one(json)) return;
    const errors = one.errors.map(({ instancePath, message }) => `${key}${instancePath}: ${message}`);
    invalid.push(errors);
    no(400, `one or more properties is invalid: ${errors.join("; ")}`);
  }

  function answer(method, url, json, coordination) {
    const [, , , area, ...rest] = url.pathname.split("/").map(decodeURIComponent);
    if (method !== "GET" && method !== "DELETE") json ??= {};
    if (area === "sys" && method === "GET")
      return [
        200,
        { kind: "tm:sys:syscollectionstate", selfLink: "https://localhost/mgmt/tm/sys?ver=16.1.3", items: [] },
      ];
    if (area === "sys") {
      check("POST /sys/config", json);
      saved = structuredClone(config);
      return [200, { kind: "tm:sys:config:savestate", command: "save" }];
    }
    if (area === "auth") return partitions(method, rest[1], json);
    if (area === "transaction") return transaction(method, rest[0], json);
    if (area !== "ltm") no(404, "Public URI path not registered");
    const kind = rest[0] === "monitor" ? `monitor/${rest[1]}` : rest[0];
    const [of, sub, below] = rest.slice(kind.split("/").length).map((one) => one.replaceAll("~", "/"));
    if (!config[kind]) no(404, "Public URI path not registered");
    if (method === "GET") {
      if (of) {
        const one =
          find(config, kind, of) ?? no(404, `01020036:3: The requested ${labels[kind]} (${of}) was not found.`);
        const all = shown(kind, one);
        const items = all.membersReference?.items ?? [];
        if (sub && below) {
          const member = items.find((each) => each.fullPath === below);
          return [200, member ?? no(404, `01020036:3: The requested Pool Member (${of} ${below}) was not found.`)];
        }
        if (sub) return [200, { kind: "tm:ltm:pool:members:memberscollectionstate", items }];
        return [200, all];
      }
      const where = /^partition eq ([\w.-]+)$/.exec(url.searchParams.get("$filter") ?? "")?.[1];
      const items = config[kind].filter((one) => where === undefined || one.partition === where);
      const list = items.map((one) => shown(kind, one));
      return [200, { kind: `tm:ltm:${kind}:collectionstate`, ...(list.length > 0 ? { items: list } : {}) }];
    }
    if (method !== "DELETE") check(`${method} /ltm/${kind}${sub ? "/members" : ""}`, json);
    const command = { method, kind, of, ...(sub ? { below: below ?? "" } : {}), json };
    if (coordination !== undefined) {
      const one = transactions.get(coordination) ?? no(404, `transaction ${coordination} was not found`);
      if (one.state !== "STARTED") no(400, "the transaction has been submitted");
      one.commands.push(command);
      return [200, { ...json, method, uri: url.pathname, commandId: one.commands.length }];
    }
    commit([command]);
    writes++;
    onChange();
    return [200, json ?? {}];
  }

  function partitions(method, of, json) {
    if (method === "POST") {
      check("POST /auth/partition", json);
      if (config.partitions.includes(json.name))
        no(409, `01020066:3: The requested folder (/${json.name}) already exists.`);
      config.partitions.push(json.name);
      writes++;
      return [
        200,
        { kind: "tm:auth:partition:partitionstate", name: json.name, fullPath: json.name, defaultRouteDomain: 0 },
      ];
    }
    if (!config.partitions.includes(of)) no(404, `01020036:3: The requested folder (/${of}) was not found.`);
    if (method === "GET") return [200, { kind: "tm:auth:partition:partitionstate", name: of, fullPath: of }];
    if (["node", "monitor/http", "pool", "virtual"].some((kind) => config[kind].some((one) => one.partition === of)))
      no(400, `0107082a:3: All objects must be removed from a partition (${of}) before the partition may be removed.`);
    config.partitions = config.partitions.filter((one) => one !== of);
    writes++;
    return [200, undefined];
  }

  function transaction(method, id, json) {
    if (method === "POST") {
      check("POST /transaction", json);
      const one = { transId: nextId++, state: "STARTED", timeoutSeconds: 120, commands: [] };
      transactions.set(String(one.transId), one);
      return [200, { kind: "tm:transactionstate", transId: one.transId, state: one.state, timeoutSeconds: 120 }];
    }
    if (take("expire")) transactions.delete(id);
    const one = transactions.get(id) ?? no(404, `transaction ${id} was not found`);
    const said = () => [
      200,
      {
        kind: "tm:transactionstate",
        transId: one.transId,
        state: one.state,
        ...(one.why ? { failureReason: one.why } : {}),
      },
    ];
    if (method === "GET") {
      if (one.state === "VALIDATING") finish(one);
      return said();
    }
    check("PATCH /transaction", json);
    if (take("slow")) {
      one.state = "VALIDATING";
      return said();
    }
    finish(one);
    if (one.state === "FAILED") no(one.status, `transaction failed:${one.why}`);
    // A real one has been seen to say 404 for what it has done.
    if (take("quirk")) no(404, "Object not found");
    return said();
  }
  function finish(one) {
    try {
      commit(one.commands);
      one.state = "COMPLETED";
      writes++;
      onChange();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      Object.assign(one, { state: "FAILED", why: error.message, status: error.status });
    }
  }

  return {
    /** [status, body] */
    answer(method, url, json, coordination) {
      if (method !== "GET" && take("busy"))
        return [503, { code: 503, message: "There is an active asynchronous task executing." }];
      try {
        return answer(method, url, json, coordination);
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        return [error.status, { code: error.status, message: error.message, errorStack: [], apiError: 3 }];
      }
    },
    /** Of TCP, as `createHaproxy` wants them. */
    frontends: () =>
      config.virtual
        .filter(({ ipProtocol }) => ipProtocol === "tcp")
        .map((one) => {
          const { host: address, port } = split(one.destination.slice(one.destination.lastIndexOf("/") + 1));
          const members = (find(config, "pool", one.pool)?.members ?? []).map((each) => ({
            address: each.address,
            port: split(each.name).port,
          }));
          return { name: `${one.partition}.${one.name}`, address, port, sticky: one.persist?.length > 0, members };
        }),
    state: () => ({ ...config, isSaved: JSON.stringify(saved) === JSON.stringify(config), writes }),
    /** Started anew: what was not saved is forgotten. */
    restart() {
      config = structuredClone(saved);
      onChange();
    },
    /** Somebody else's object. */
    plant(kind, one) {
      if (!config.partitions.includes(one.partition)) config.partitions.push(one.partition);
      run(config, { method: "POST", kind, json: one });
      saved = structuredClone(config);
    },
  };
}
