import { readFileSync } from "node:fs";
import { createApi, type ApiAnswer } from "../provider/api.ts";
import { ProviderFailure, type FailureReason } from "../provider/contract.ts";
import { signed, type AwsKeys } from "./sigv4.ts";
import { readXml, type Xml } from "./xml.ts";

export interface AwsConfig {
  readonly region: string;
  /** Instead of AWS's own places: one for all services. */
  readonly endpoint?: string;
  readonly keys?: AwsKeys;
  /** A role to take, with `keys`, or with the token in `tokenFile` (web identity). */
  readonly role?: { readonly arn: string; readonly externalId?: string; readonly tokenFile?: string };
  readonly ca?: string;
  /** Milliseconds for one call. */
  readonly timeout: number;
}

/** A value of a request: texts, lists and maps become `A.member.1.B` as the Query API has it. */
export type QueryValue =
  | string
  | number
  | boolean
  | undefined
  | readonly QueryValue[]
  | { readonly [name: string]: QueryValue };

/** AWS's Elastic Load Balancing by its Query API. */
export interface Elb {
  /** The result of an action. Throws AwsError, ProviderFailure. */
  call(action: string, input: Readonly<Record<string, QueryValue>>, signal: AbortSignal): Promise<Xml>;
  /** All pages of a Describe action: elements of `list`. */
  all(
    action: string,
    list: string,
    input: Readonly<Record<string, QueryValue>>,
    signal: AbortSignal,
  ): Promise<readonly Xml[]>;
}

/** AWS says no, with its own code. */
export class AwsError extends ProviderFailure {
  readonly code: string;

  constructor(reason: FailureReason, code: string, message: string) {
    super(reason, message);
    this.name = "AwsError";
    this.code = code;
  }
}

const stsVersion = "2011-06-15";
/** Milliseconds before their end at which keys are not used any more. */
const margin = 300_000;
const mostPages = 1_000;
const sessionName = "fairlead";

/** `version`: of the API, 2012-06-01 for Classic Load Balancers, 2015-12-01 for the others. */
export function createElb(config: AwsConfig, version: string, now: () => Date = () => new Date()): Elb {
  let taken: { readonly keys: AwsKeys; readonly expires: number } | undefined;
  let taking: Promise<AwsKeys> | undefined;
  /** The web identity token that was sent last. */
  let identity = "";
  /** What no message may repeat. */
  const secrets = (): readonly string[] => [
    identity,
    ...[config.keys, taken?.keys].flatMap((keys) => [keys?.secretAccessKey ?? "", keys?.sessionToken ?? ""]),
  ];
  const api = createApi({
    timeout: config.timeout,
    ...(config.ca === undefined ? {} : { ca: config.ca }),
    secrets,
  });
  const place = (service: string) => config.endpoint ?? `https://${service}.${config.region}.amazonaws.com`;

  async function send(
    service: string,
    version: string,
    action: string,
    input: Readonly<Record<string, QueryValue>>,
    keys: AwsKeys | undefined,
    signal: AbortSignal,
  ): Promise<Xml> {
    const form = new URLSearchParams({ Action: action, Version: version });
    for (const [name, value] of Object.entries(input)) append(form, name, value);
    const body = form.toString();
    const url = `${place(service)}/`;
    const plain = { "content-type": "application/x-www-form-urlencoded; charset=utf-8" };
    const request = { method: "POST", url, body } as const;
    const headers = keys
      ? signed({ ...request, headers: plain }, keys, { region: config.region, service }, now())
      : plain;
    // The host's header is undici's to set.
    const { host: _, ...rest } = headers as Record<string, string>;
    const answer = await api.call({ ...request, headers: { ...rest, accept: "text/xml" } }, signal);
    if (answer.status >= 300 && answer.status < 400) throw api.failureOf(request, answer);
    if (answer.status >= 400) throw errorOf(action, answer);
    const whole = readXml(answer.text);
    return whole.find(`${action}Result`) ?? whole;
  }

  function errorOf(action: string, answer: ApiAnswer): Error {
    let code = "";
    let message = "";
    try {
      const error = readXml(answer.text).find("Error");
      code = error?.find("Code")?.text ?? "";
      message = error?.find("Message")?.text ?? "";
    } catch (error) {
      if (!(error instanceof ProviderFailure)) throw error;
    }
    const base = api.failureOf({ method: "POST", url: place("elasticloadbalancing") }, answer);
    for (const secret of secrets()) {
      if (!secret) continue;
      message = message.replaceAll(secret, "***");
      code = code.replaceAll(secret, "***");
    }
    const words = message.replaceAll(/[\p{Cc}\s]+/gu, " ").slice(0, 400);
    const text = `${action} has answered ${answer.status}${code ? ` ${code.slice(0, 80)}` : ""}${words ? `: ${words}` : ""}`;
    return new AwsError(reasonOf(code) ?? base.reason, code, text);
  }

  async function assume(signal: AbortSignal): Promise<AwsKeys> {
    const { role, keys } = config;
    if (!role) throw new ProviderFailure("Credentials", "there are neither keys nor a role");
    const common = { RoleArn: role.arn, RoleSessionName: sessionName };
    let result: Xml;
    if (role.tokenFile === undefined) {
      const more = role.externalId === undefined ? {} : { ExternalId: role.externalId };
      result = await send("sts", stsVersion, "AssumeRole", { ...common, ...more }, keys, signal);
    } else {
      // Read anew each time: who wrote it writes another before it ends.
      let token: string;
      try {
        token = readFileSync(role.tokenFile, "utf8").trim();
      } catch {
        throw new ProviderFailure("Credentials", `the web identity token ${role.tokenFile} cannot be read`);
      }
      identity = token;
      const input = { ...common, WebIdentityToken: token };
      result = await send("sts", stsVersion, "AssumeRoleWithWebIdentity", input, undefined, signal);
    }
    const found = result.at("Credentials");
    const expires = Date.parse(found.at("Expiration").text);
    if (Number.isNaN(expires)) throw new ProviderFailure("Broken", "Credentials.Expiration: a time is needed");
    const next = {
      accessKeyId: found.at("AccessKeyId").text,
      secretAccessKey: found.at("SecretAccessKey").text,
      sessionToken: found.at("SessionToken").text,
    };
    taken = { keys: next, expires };
    return next;
  }

  async function keysNow(signal: AbortSignal): Promise<AwsKeys> {
    if (!config.role && config.keys) return config.keys;
    if (taken && taken.expires - margin > now().getTime()) return taken.keys;
    const mine = (taking ??= assume(signal));
    try {
      return await mine;
    } finally {
      if (taking === mine) taking = undefined;
    }
  }

  const elb: Elb = {
    call: async (action, input, signal) =>
      send("elasticloadbalancing", version, action, input, await keysNow(signal), signal),
    async all(action, list, input, signal) {
      const found: Xml[] = [];
      let marker: string | undefined;
      for (let page = 0; page < mostPages; page++) {
        const result = await elb.call(action, marker === undefined ? input : { ...input, Marker: marker }, signal);
        found.push(...result.members(list));
        marker = result.find("NextMarker")?.text;
        if (!marker) return found;
      }
      return found;
    },
  };
  return elb;
}

function append(form: URLSearchParams, name: string, value: QueryValue): void {
  if (value === undefined) return;
  if (typeof value !== "object") form.set(name, String(value));
  else if (Array.isArray(value)) {
    for (const [i, one] of (value as readonly QueryValue[]).entries()) append(form, `${name}.member.${i + 1}`, one);
  } else for (const [of, one] of Object.entries(value)) append(form, `${name}.${of}`, one);
}

function reasonOf(code: string): FailureReason | undefined {
  if (/Throttl|RequestLimitExceeded|TooManyRequests/.test(code)) return "Throttled";
  if (/TooMany|LimitExceeded|Limit$/.test(code)) return "Quota";
  if (
    /ExpiredToken|InvalidClientTokenId|SignatureDoesNotMatch|AccessDenied|AuthFailure|UnrecognizedClient|OptInRequired|IncompleteSignature|MissingAuthentication/.test(
      code,
    )
  )
    return "Credentials";
  if (/ServiceUnavailable|InternalFailure|InternalError/.test(code)) return "Unavailable";
  // What the configuration or an annotation names.
  if (/^(Certificate|Subnet|SecurityGroup|Invalid\w*)NotFound|^InvalidSubnet|^InvalidSecurityGroup/.test(code))
    return "Refused";
  if (/NotFound|InUse|Duplicate|PriorityInUse|OperationNotPermitted/.test(code)) return "Conflict";
  return undefined;
}
