import type { ChallengeType } from "../../routing/index.ts";
import type { Clock } from "../../system/index.ts";
import type { KeyPair } from "../dataplane.ts";
import { AcmeError, type AcmeReply, type AcmeSession, errorIn } from "./protocol.ts";
import { requestFor } from "./request.ts";

/**
 * What must answer while a name is proved. By HTTP-01: `http://HOST/.well-known/acme-challenge/TOKEN`, with the answer itself; by TLS-ALPN-01
 * (RFC 8737): the host's port 443, with a certificate that has its hash.
 */
export interface Challenge {
  readonly type: ChallengeType;
  readonly host: string;
  readonly token: string;
  readonly answer: string;
}

export interface IssueOptions {
  /** How a name is to be proved. */
  readonly typeOf: (host: string) => ChallengeType;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Settles when all of them answer; what it returns takes them away again. */
  readonly present: (challenges: readonly Challenge[]) => Promise<() => Promise<void>>;
}

interface Resource {
  readonly status?: string;
  readonly error?: unknown;
}

interface Order extends Resource {
  readonly authorizations?: readonly string[];
  readonly finalize?: string;
  readonly certificate?: string;
}

interface Authorization extends Resource {
  readonly identifier?: { readonly value?: string };
  readonly challenges?: readonly (Resource & {
    readonly type?: string;
    readonly url?: string;
    readonly token?: string;
  })[];
}

/** Milliseconds between questions while the server works, unless it says otherwise; and how often it is asked. */
const pause = 500;
const polls = 120;

/** Orders a certificate for DNS names and proves them (RFC 8555 section 7.4). Throws `AcmeError`. */
export async function issueCertificate(
  session: AcmeSession,
  hosts: readonly string[],
  options: IssueOptions,
): Promise<KeyPair> {
  const { clock, signal } = options;
  const identifiers = hosts.map((value) => ({ type: "dns", value }));
  const ordered = await session.post(session.url("newOrder"), { identifiers });
  const { location } = ordered;
  const { authorizations = [], finalize } = ordered.body as Order;
  if (location === undefined || finalize === undefined) throw new AcmeError("protocol", "the order has no URLs");

  const challenges: (Challenge & { readonly url: string; readonly authorization: string })[] = [];
  for (const authorization of authorizations) {
    const { status, identifier, challenges: offered = [] } = (await session.post(authorization)).body as Authorization;
    if (status === "valid") continue;
    const host = identifier?.value ?? "";
    const type = options.typeOf(host);
    const chosen = offered.find((each) => each.type === type);
    if (chosen?.url === undefined || chosen.token === undefined || !/^[\w-]{16,256}$/.test(chosen.token))
      throw new AcmeError("protocol", `the server does not offer ${type} for ${host}`);
    const answer = session.keyAuthorization(chosen.token);
    challenges.push({ type, host, token: chosen.token, answer, url: chosen.url, authorization });
  }
  if (challenges.length > 0) {
    const takeAway = await options.present(challenges);
    try {
      for (const { url } of challenges) await session.post(url, {});
      for (const { authorization, host } of challenges)
        await settled(authorization, ["valid"], ({ challenges: all = [] }: Authorization) => {
          const said = errorIn(all.find(({ error }) => error !== undefined)?.error);
          return new AcmeError(
            said?.code ?? "unauthorized",
            `${host} is not proved: ${said?.message ?? "no reason given"}`,
          );
        });
    } finally {
      await takeAway();
    }
  }
  await settled<Order>(location, ["ready", "valid"], refusedOrder);
  const { request, key } = await requestFor(hosts);
  await session.post(finalize, { csr: request });
  const { certificate } = await settled<Order>(location, ["valid"], refusedOrder);
  if (certificate === undefined) throw new AcmeError("protocol", "the order has no certificate");
  const { text } = await session.post(certificate);
  if (!text.includes("-----BEGIN CERTIFICATE-----"))
    throw new AcmeError("protocol", "what was issued is no certificate");
  return { certificate: text, key };

  /** A resource once it has one of these states; `refused` says why it never will. */
  async function settled<T extends Resource>(
    url: string,
    states: readonly string[],
    refused: (body: T) => AcmeError,
  ): Promise<T> {
    for (let poll = 0; poll < polls; poll++) {
      const reply: AcmeReply = await session.post(url);
      const body = reply.body as T;
      if (states.includes(body.status ?? "")) return body;
      if (body.status !== "pending" && body.status !== "processing" && body.status !== "ready") throw refused(body);
      await clock.sleep(Math.min(reply.retryAfter ?? pause, 30_000), signal);
    }
    throw new AcmeError("timeout", `${url} is not done after ${polls} questions`);
  }
}

function refusedOrder({ error, status }: Order): AcmeError {
  return errorIn(error) ?? new AcmeError("unauthorized", `the order is ${status ?? "without a state"}`);
}
