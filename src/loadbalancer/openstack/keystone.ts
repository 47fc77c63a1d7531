import { createApi } from "../provider/api.ts";
import { ProviderFailure } from "../provider/contract.ts";
import { shape, textIn, type Shape } from "../provider/shape.ts";
import type { OpenStackConfig } from "./config.ts";

/** A right to call, and where. */
export interface Token {
  readonly id: string;
  /** The project that it is for. */
  readonly project: string;
  /** Octavia, without a slash or version at its end. */
  readonly octavia: string;
  /** Milliseconds since the epoch. */
  readonly expires: number;
}

export interface Keystone {
  /** One that is good for a while. Throws ProviderFailure. */
  token(signal: AbortSignal): Promise<Token>;
  /** Says that a token was refused: the next is a new one. */
  refused(token: Token): void;
}

/** Milliseconds before its end at which a token is not used any more. */
const margin = 60_000;

/** Tokens of OpenStack's Identity API v3. Only one is asked for at a time, however many want one. */
export function createKeystone(config: OpenStackConfig, now: () => number = Date.now): Keystone {
  const { credentials, authUrl } = config;
  const api = createApi({
    timeout: config.timeout,
    insecure: config.insecure,
    ...(config.ca === undefined ? {} : { ca: config.ca }),
    secrets: () => [credentials.method === "password" ? credentials.password : credentials.secret],
    messageIn: (body) => textIn(shape(body).at("error").at("message")),
    reasonOf: ({ status }) => (status === 404 ? "Broken" : undefined),
  });
  let current: Token | undefined;
  let asking: Promise<Token> | undefined;

  async function ask(signal: AbortSignal): Promise<Token> {
    const request = { method: "POST", url: `${authUrl}/auth/tokens`, json: { auth: authOf(config) } } as const;
    const answer = await api.ask(request, signal);
    const id = answer.header("x-subject-token");
    if (!id) throw new ProviderFailure("Broken", `${authUrl} has answered without the header X-Subject-Token`);
    const token = shape(answer.json(), "").at("token");
    const expires = Date.parse(token.at("expires_at").text());
    if (Number.isNaN(expires)) throw new ProviderFailure("Broken", "token.expires_at: a time is needed");
    const octavia = config.endpoint ?? endpointIn(token.at("catalog"), config);
    return {
      id,
      project: token.at("project").at("id").text(),
      octavia: octavia.replace(/(\/v2(\.0)?)?\/*$/, ""),
      expires,
    };
  }

  return {
    async token(signal) {
      if (current && current.expires - margin > now()) return current;
      // Tokens that live for less than the margin are used as long as they are new.
      asking ??= ask(signal)
        .then((token) => (current = token))
        .finally(() => (asking = undefined));
      return asking;
    },
    refused(token) {
      if (current?.id === token.id) current = undefined;
    },
  };
}

function authOf({ credentials }: OpenStackConfig): unknown {
  if (credentials.method === "application_credential") {
    const { id, secret } = credentials;
    return { identity: { methods: ["application_credential"], application_credential: { id, secret } } };
  }
  const { username, password, userDomain, project, projectDomain } = credentials;
  return {
    identity: {
      methods: ["password"],
      password: { user: { name: username, domain: domainOf(userDomain), password } },
    },
    scope: { project: { name: project, domain: domainOf(projectDomain) } },
  };
}

/** Domains are named, or given by their id, which is `default` or 32 hexadecimal digits. */
const domainOf = (text: string) => (text === "default" || /^[0-9a-f]{32}$/.test(text) ? { id: text } : { name: text });

function endpointIn(catalogue: Shape, { region, interface: wanted }: OpenStackConfig): string {
  const seen: string[] = [];
  for (const service of catalogue.list()) {
    if (service.at("type").text() !== "load-balancer") continue;
    for (const endpoint of service.at("endpoints").list()) {
      const of = textIn(endpoint.at("region_id")) ?? textIn(endpoint.at("region")) ?? "";
      const kind = endpoint.at("interface").text();
      seen.push(`${kind} of ${of}`);
      if (kind !== wanted || (region !== undefined && of !== region)) continue;
      const url = endpoint.at("url").text();
      if (URL.canParse(url) && /^https?:/.test(url)) return url;
      throw new ProviderFailure("Broken", `${endpoint.path}.url: a URL with http or https is needed`);
    }
  }
  const where = region === undefined ? "" : ` in region ${region}`;
  const there = seen.length > 0 ? `there are ${seen.join(", ")}` : "there is none of type load-balancer";
  throw new ProviderFailure("Refused", `the catalogue has no ${wanted} endpoint of Octavia${where}; ${there}`);
}
