import { Command, Option } from "commander";
import {
  type Facts,
  gatewayWith,
  routingOfGateway,
  type RequestQuestion,
  type RequestTrace,
  sendRequest,
  type SentRequest,
  traceRequest,
} from "../../explain/index.ts";
import { beforePort } from "../../kube/index.ts";
import { CliError } from "../errors.ts";
import { parseTextFormat, render, table, type TextFormat } from "../output.ts";
import { readFacts } from "./facts.ts";
import { asCliError, readCluster, type SourceOptions, withSource } from "./source.ts";

interface RequestOptions extends SourceOptions {
  readonly header: readonly string[];
  readonly gateway?: string;
  readonly live?: boolean;
  readonly to?: string;
  readonly output: TextFormat;
}

const collect = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

export function requestCommand(): Command {
  const command = new Command("request")
    .description("Say which route takes a request, why not another, and which endpoints may answer.")
    .argument("<method>", "GET, POST, ...")
    .argument("<url>", "as a client has it; its host is matched, and not looked up")
    .addOption(new Option("-H, --header <field>", "NAME: VALUE; may be given again").argParser(collect).default([]))
    .option(
      "--gateway <namespace/name>",
      "by this Gateway (default: that which has the URL's host as its address, else by Ingresses)",
    )
    .option("--live", "send the request, and compare the answer")
    .option(
      "--to <address>",
      "with --live: address of the data plane (default: that of the cluster, else the URL's host)",
    )
    .addOption(new Option("-o, --output <format>", "text, json or yaml").default("text").argParser(parseTextFormat));
  return withSource(command)
    .addHelpText(
      "after",
      `
Candidates are the routes that could have been meant, in order, each with what ruled it out.

Examples:
  fairlead trace request GET http://shop.example.com/cart
  fairlead trace request GET https://shop.example.com/ -H 'X-Canary: always'
  fairlead trace request POST http://shop.example.com/pay -f manifests/
  fairlead trace request GET http://shop.example.com/ --gateway shop/edge
  fairlead trace request GET http://shop.example.com/ --live

With --live the exit code is 1 where the answer is not what the model says.`,
    )
    .action(traceOne);
}

async function traceOne(method: string, text: string, options: RequestOptions): Promise<void> {
  try {
    const question = readRequest(method, text, options.header);
    const read = await readCluster(options);
    for (const warning of read.warnings) process.stderr.write(`warning: ${warning}\n`);
    const facts = await readFacts(read, false);
    const gateway = findGateway(facts, options.gateway, question.url.hostname);
    const trace = traceRequest(gateway?.routing ?? facts.routing, question);
    const usual = gateway ? gateway.address : read.source.state?.ingress.address;
    const address = options.to ?? usual ?? question.url.hostname;
    const sent = options.live ? await sendRequest(trace, question, address) : undefined;
    if (sent && !sent.agrees) process.exitCode = 1;
    process.stdout.write(
      options.output === "text"
        ? requestTraceText(trace, sent)
        : await render({ ...trace, ...(sent ? { live: sent } : {}) }, options.output),
    );
  } catch (error) {
    throw asCliError(error);
  }
}

/** The Gateway that was asked for, or that has the address. Throws CliError USAGE when it is not there. */
function findGateway({ gateways }: Facts, named: string | undefined, host: string) {
  if (named !== undefined && !/^[a-z0-9-]+\/[a-z0-9.-]+$/.test(named))
    throw new CliError("USAGE", `--gateway ${JSON.stringify(named)} is no name`, "give NAMESPACE/NAME");
  const asked = named ?? (gateways && gatewayWith(gateways.meaning, host.replace(/^\[|\]$/g, "")));
  if (asked === undefined) return undefined;
  const routing = gateways && routingOfGateway(gateways.meaning, asked);
  if (!routing)
    throw new CliError(
      "USAGE",
      `there is no Gateway ${asked} that Fairlead serves`,
      "see `fairlead status`: it needs a cluster, and a class of Fairlead's",
    );
  return routing;
}

/** Reads what was typed. Throws CliError USAGE. */
export function readRequest(method: string, text: string, fields: readonly string[]): RequestQuestion {
  if (!/^[A-Za-z]{1,20}$/.test(method))
    throw new CliError("USAGE", `${JSON.stringify(method)} is no method`, "use GET, POST, ...");
  const whole = httpUrl(text);
  if (whole === undefined || !URL.canParse(whole))
    throw new CliError("USAGE", `${JSON.stringify(text)} is no URL of HTTP`, "give it as http://HOST/PATH");
  const url = new URL(whole);
  const headers: Record<string, string> = {};
  for (const field of fields) {
    const [, name, value] = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\r\n]*)$/.exec(field) ?? [];
    if (name === undefined || value === undefined)
      throw new CliError("USAGE", `-H ${JSON.stringify(field)} is no header field`, "give NAME: VALUE");
    const key = name.toLowerCase();
    headers[key] = headers[key] === undefined ? value : `${headers[key]}, ${value}`;
  }
  // As it was typed: URL resolves dots and escapes, and what a data plane makes of them is asked here.
  const path = /^https?:\/\/[^/?#]*([^?#]*)/i.exec(whole)?.[1];
  return { method: method.toUpperCase(), url, headers, ...(path ? { path } : {}) };
}

/** With its scheme: a WebSocket begins as a request of HTTP. `undefined`: it names no host, or another protocol. */
function httpUrl(text: string): string | undefined {
  const [, scheme = "http", rest = text] = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/is.exec(text) ?? [];
  const http = { http: "http", https: "https", ws: "http", wss: "https" }[scheme.toLowerCase()];
  return http === undefined || rest.startsWith("/") ? undefined : `${http}://${rest}`;
}

const words = { forward: "FORWARD", answer: "ANSWER", refuse: "REFUSE" } as const;

/** A trace for people. */
export function requestTraceText(trace: RequestTrace, sent?: SentRequest): string {
  const { request, listener, certificate, candidates, filters, backends } = trace;
  const lines = [`${request.method} ${request.scheme}://${request.host}${request.path}`];
  if (listener) lines.push(`listener     ${listener.name} (port ${listener.port})`);
  if (certificate) lines.push(`certificate  ${certificate.secret} (${certificate.object}: ${certificate.field})`);
  else if (listener && request.scheme === "https") lines.push("certificate  the default one: none is for this name");
  if (candidates.length > 0) lines.push("", "routes");
  for (const { taken, route, object, field, why } of candidates)
    lines.push(`${taken ? " *" : "  "} ${route}`, `       ${object}: ${field}`, `       ${why}`);
  if (trace.more > 0) lines.push(`   ... and ${trace.more} more`);
  if (filters.length > 0) lines.push("", "filters", ...filters.map((filter) => `   ${filter}`));
  const rows = backends.flatMap(({ service, port, odds, endpoints, absent }) =>
    endpoints.length === 0
      ? [[percent(odds), `${service}:${port}`, "-", absent ?? "no endpoint"]]
      : endpoints
          .slice(0, 20)
          .map((endpoint) => [
            endpoint.ready ? percent(endpoint.odds) : "-",
            `${service}:${port}`,
            `${beforePort(endpoint.address)}:${endpoint.port}`,
            endpoint.ready ? "ready" : "not ready",
          ]),
  );
  if (rows.length > 0) lines.push("", table(["ODDS", "SERVICE", "ENDPOINT", "STATE"], rows).trimEnd());
  const status = trace.status === undefined ? "" : ` with ${trace.status}`;
  lines.push("", `=> ${words[trace.verdict]}${status}: ${trace.reason}`);
  for (const { object, field, message } of trace.problems) lines.push(`   problem: ${object}: ${field}: ${message}`);
  if (sent) lines.push("", `live ${sent.agrees ? "AGREES" : "DIFFERS"}: ${sent.seen}`);
  return `${lines.join("\n")}\n`;
}

const percent = (odds: number): string => `${(odds * 100).toFixed(odds === 1 ? 0 : 1)} %`;
