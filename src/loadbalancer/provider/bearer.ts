import type { Api, ApiAnswer, ApiRequest } from "./api.ts";

/** A token as its issuer gave it. */
export interface BearerToken {
  readonly token: string;
  /** Seconds that it is good for. */
  readonly lives: number;
}

/** Calls that carry a bearer token (RFC 6750), which is had when the first call needs it and anew before it ends. */
export interface BearerApi {
  /** As `Api.call`. A token that is refused is replaced once. Throws what `issue` throws. */
  call(request: ApiRequest, signal: AbortSignal): Promise<ApiAnswer>;
}

/** Milliseconds before its end at which a token is not used any more; of one that lives shortly, half of its life. */
const margin = 300_000;

/** `onToken` is told each token, so that no message repeats it. */
export function withBearer(
  api: Api,
  issue: (signal: AbortSignal) => Promise<BearerToken>,
  onToken: (token: string) => void,
  now: () => number = Date.now,
): BearerApi {
  let current: { readonly token: string; readonly until: number } | undefined;
  let asking: Promise<string> | undefined;

  async function ask(signal: AbortSignal): Promise<string> {
    const { token, lives } = await issue(signal);
    onToken(token);
    current = { token, until: now() + Math.max(lives * 1000 - margin, lives * 500) };
    return token;
  }

  async function tokenNow(signal: AbortSignal): Promise<string> {
    if (current && current.until > now()) return current.token;
    const mine = (asking ??= ask(signal));
    try {
      return await mine;
    } finally {
      if (asking === mine) asking = undefined;
    }
  }

  return {
    async call(request, signal) {
      for (let tries = 0; ; tries++) {
        const token = await tokenNow(signal);
        const headers = { ...request.headers, authorization: `Bearer ${token}` };
        const answer = await api.call({ ...request, headers }, signal);
        if (answer.status !== 401 || tries > 0) return answer;
        if (current?.token === token) current = undefined;
      }
    },
  };
}
