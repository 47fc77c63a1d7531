import { createApi, type Api, type ApiAnswer, type ApiRequest } from "../provider/api.ts";
import { shape } from "../provider/shape.ts";

export interface BigIpConfig {
  readonly url: string;
  readonly username: string;
  readonly password: string;
  readonly loginProvider: string;
  readonly ca?: string;
  readonly insecure: boolean;
  /** Milliseconds between two looks at what is under way. */
  readonly poll: number;
  /** Milliseconds for one call. */
  readonly timeout: number;
}

/** Calls to a BIG-IP, logged in. Throw ProviderFailure. */
export interface Session {
  readonly api: Api;
  /** Whatever was answered, also errors; but never 401, unless a new token is refused too. */
  call(request: ApiRequest, signal: AbortSignal): Promise<ApiAnswer>;
}

/** Tokens end after twenty minutes: one that is refused is replaced once. `messageIn` finds the words of an error. */
export function createSession(config: BigIpConfig, messageIn: (body: unknown) => string | undefined): Session {
  let token: Promise<string> | undefined;
  let current = "";
  const api = createApi({
    timeout: config.timeout,
    insecure: config.insecure,
    ...(config.ca === undefined ? {} : { ca: config.ca }),
    secrets: () => [config.password, current],
    messageIn,
    reasonOf: ({ status }) => (status === 503 ? "Throttled" : undefined),
  });

  async function login(signal: AbortSignal): Promise<string> {
    const { username, password, loginProvider: loginProviderName } = config;
    const json = { username, password, loginProviderName };
    const request = { method: "POST", url: `${config.url}/mgmt/shared/authn/login`, json } as const;
    const answer = await api.ask(request, signal);
    current = shape(answer.json()).at("token").at("token").text();
    return current;
  }

  return {
    api,
    async call(request, signal) {
      for (let tries = 0; ; tries++) {
        token ??= login(signal);
        const mine = token;
        let word: string;
        try {
          word = await mine;
        } catch (error) {
          if (token === mine) token = undefined;
          throw error;
        }
        const answer = await api.call({ ...request, headers: { ...request.headers, "x-f5-auth-token": word } }, signal);
        if (answer.status !== 401 || tries > 0) return answer;
        if (token === mine) token = undefined;
      }
    },
  };
}
