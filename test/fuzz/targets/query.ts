import { parseFieldSelector, parseLabelSelector, StatusError } from "../../../src/kube/index.ts";
import { meetsFields } from "../../../src/kube/selectors/field-selector.ts";
import { meetsRequirements } from "../../../src/kube/selectors/label-selector.ts";
import { rewriteLinks } from "../../../src/apiserver/connect/links.ts";
import { restOfPath, rewriteLink } from "../../../src/apiserver/connect/proxy-path.ts";
import { readStreamRequest } from "../../../src/apiserver/connect/pod-streams.ts";
import { webSocketAuthorization } from "../../../src/apiserver/https/upgrade.ts";
import { listQuery, watchQuery, writeQuery } from "../../../src/apiserver/request/params.ts";
import { negotiate } from "../../../src/apiserver/request/negotiate.ts";
import { isPassedOn, requestInfo } from "../../../src/apiserver/request/request-info.ts";
import { decodeContinue, encodeContinue } from "../../../src/apiserver/storage/continue-token.ts";
import { parseLogQuery, RequestError } from "../../../src/kubelet/server/log-query.ts";
import { broken, outcome, outcomeOf, type Target } from "../target.ts";

const labels = { app: "web", tier: "1", "a.b/c": "" };

export const labelSelector: Target = {
  name: "label-selector",
  form: "text",
  words: [
    "app",
    "=",
    "==",
    "!=",
    "in",
    "notin",
    "(",
    ")",
    ",",
    "!",
    ">",
    "<",
    "exists",
    "__proto__",
    "constructor",
    "a.b/c",
  ],
  seeds: () => [
    "app=web,tier in (1,2),!x",
    "a.b/c,tier>0,tier<2",
    "app notin (x, y),app!=z",
    "x==1",
    "__proto__,constructor",
  ],
  run: (input) =>
    outcome([StatusError], () => {
      const requirements = parseLabelSelector(input.toString());
      meetsRequirements(requirements, labels);
      for (const { key, operator } of requirements)
        if (
          operator === "Exists" &&
          !Object.hasOwn(labels, key) &&
          meetsRequirements([{ key, operator, values: [] }], labels)
        )
          broken(`an object without labels has the label ${key}`);
      return requirements;
    }),
};

export const fieldSelector: Target = {
  name: "field-selector",
  form: "text",
  words: ["metadata.name", "=", "==", "!=", "\\,", "\\\\", "\\=", ",", "spec.nodeName", "constructor"],
  seeds: () => ["metadata.name=a,spec.nodeName!=b", "metadata.name==a\\,b", "a=b\\\\", "__proto__=x"],
  run: (input) =>
    outcome([StatusError], () => {
      const requirements = parseFieldSelector(input.toString());
      meetsFields(requirements, { "metadata.name": "a" });
      return requirements;
    }),
};

export const continueToken: Target = {
  name: "continue-token",
  form: "text",
  seeds: () => [
    encodeContinue({ revision: 1, after: "default/a" }),
    encodeContinue({ revision: -1, after: "" }),
    Buffer.from('{"v":"meta.k8s.io/v1","rv":9007199254740993,"start":"\\u0000"}').toString("base64url"),
    '{"v":"meta.k8s.io/v1","rv":1,"start":"../../x"}',
  ],
  run(input) {
    const text = input.toString();
    for (const token of [text, Buffer.from(text).toString("base64url")]) {
      const found = outcome([StatusError], () => {
        const read = decodeContinue(token);
        const again = decodeContinue(encodeContinue(read));
        if (again.after !== read.after || again.revision !== read.revision)
          broken("a token changes when it is written again");
      });
      if (found.startsWith("ok")) return found;
    }
    return "refused";
  },
};

/** Path and query, as they come in a request line. */
export const url: Target = {
  name: "url",
  form: "text",
  words: [
    "/",
    "//",
    "/api/v1",
    "/apis/apps/v1",
    "/namespaces/",
    "/proxy/",
    "/exec",
    "%2f",
    "%2e%2e",
    "%00",
    "..",
    "?",
    "&",
    "watch=1",
    "limit=",
    "continue=",
    "resourceVersion=",
    "resourceVersionMatch=Exact",
    "sendInitialEvents=true",
    "fieldManager=",
    "dryRun=All",
    "force=true",
    "timeoutSeconds=",
    "labelSelector=",
    "tailLines=",
    "sinceTime=",
    "ports=80",
    "command=",
    ":http/",
  ],
  seeds: () => [
    "/api/v1/namespaces/default/pods/a/proxy/x/y?z=1",
    "/apis/apps/v1/namespaces/default/deployments?labelSelector=a%3Db&limit=5&resourceVersion=0",
    "/api/v1/namespaces/default/services/https:web:443/proxy/%2e%2e/%2F",
    "/api/v1/pods?watch=1&resourceVersion=5&timeoutSeconds=9&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
    "/api/v1/namespaces/default/pods/a/exec?command=sh&command=-c&stdin=1&tty=0&container=c",
    "/api/v1/namespaces/default/pods/a/log?tailLines=5&sinceTime=2030-01-01T00:00:00Z&limitBytes=9",
    "/api/v1/namespaces/x/status?dryRun=All&fieldManager=me&fieldValidation=Strict&force=true",
  ],
  run: (input) =>
    outcome([StatusError, RequestError, URIError], () => {
      const text = input.toString();
      const mark = text.indexOf("?");
      const raw = mark < 0 ? text : text.slice(0, mark);
      const query = new URLSearchParams(mark < 0 ? "" : text.slice(mark + 1));
      const path = decodeURIComponent(raw);
      const request = { method: "GET", path, query, headers: {}, signal: new AbortController().signal } as const;
      const info = requestInfo(request);
      if (info.type === "resource" && isPassedOn(request)) {
        const transport = { headers: {}, url: text, upgrade: false };
        const rest = restOfPath({ ...request, transport }, info);
        if (!text.endsWith(rest)) broken("what is passed on is not the end of the address");
        if (rest !== "" && !rest.startsWith("/") && !rest.startsWith("?")) broken(`passed on: ${rest}`);
      }
      rewriteLink(raw, { prefix: "/p", backend: "b:80", site: "s" });
      const readers = [
        () => listQuery(query),
        () => watchQuery(query),
        () => writeQuery(query, "PatchOptions", true),
        () => parseLogQuery(query, 0),
        () => readStreamRequest("exec", query),
        () => readStreamRequest("portforward", query),
      ];
      return readers.map((read) => outcome([StatusError, RequestError], read)).join();
    }),
};

export const headers: Target = {
  name: "headers",
  form: "text",
  words: [
    "application/json",
    ";as=Table;v=v1;g=meta.k8s.io",
    ",",
    ";",
    "q=0",
    "*/*",
    "base64url.bearer.authorization.k8s.io.",
    "constructor",
    "__proto__",
    "v4.channel.k8s.io",
  ],
  seeds: () => [
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
    "*/*;q=0.1, application/yaml",
    "base64url.bearer.authorization.k8s.io.YWJj, v4.channel.k8s.io",
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
  ],
  run: (input) =>
    outcome([StatusError], () => {
      const text = input.toString();
      webSocketAuthorization({ headers: { upgrade: "websocket", "sec-websocket-protocol": text } });
      const { as, encoding } = negotiate(text);
      if (!["json", "yaml", "protobuf"].includes(encoding)) broken(`encoding ${encoding}`);
      return as.length;
    }),
};

/** A page behind the proxy, in pieces. */
export const links: Target = {
  name: "links",
  form: "text",
  words: [
    "<a href=",
    "<!--",
    "-->",
    "<script>",
    "</script",
    "<",
    ">",
    '"',
    "'",
    "=",
    "src",
    "<constructor href=/x>",
    "<img src='/a'>",
    "/b",
    "//host/c",
    "https://b:80/d",
  ],
  seeds: () => [
    '<html><a href="/x?y=1&amp;z">t</a><!-- <a href="/no"> --><script>"<a href=/no>"</script><img src=/y>',
    "<form action='/f'><link href=\"https://b:80/z\">",
  ],
  run: (input) =>
    outcomeOf([], async () => {
      const step = 1 + (input.length % 50);
      const once = await text(rewritten(input, input.length || 1));
      const pieces = await text(rewritten(input, step));
      if (once !== pieces) broken("a page in pieces comes out in another way");
      return once;
    }),
};

function rewritten(input: Buffer, step: number): AsyncIterable<Uint8Array> {
  async function* chunks(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < input.length; at += step) yield input.subarray(at, at + step);
  }
  return rewriteLinks(chunks(), undefined, (link) => rewriteLink(link, { prefix: "/p", backend: "b:80", site: "s" }));
}

async function text(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return Buffer.concat(parts).toString("latin1");
}
