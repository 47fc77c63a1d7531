import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { TLSSocket } from "node:tls";
import type { Client } from "../../client/index.ts";
import { reviewResources, type SubjectAccessReview } from "../../kube/index.ts";
import type { Clock } from "../../system/index.ts";
import { RequestError } from "./log-query.ts";

/** Groups (O of the client certificate) and names (CN) that may ask everything, also while the API does not answer. */
const trustedGroups = ["system:masters", "system:kubelet-api-admin"];
const trustedNames = ["kube-apiserver", "kube-apiserver-kubelet-client"];

/** Milliseconds that answers of the API hold, as upstream's kubelet by default: who a token is for, what is allowed, what is not. */
const tokenMs = 2 * 60_000;
const allowedMs = 5 * 60_000;
const deniedMs = 30_000;

/** Answers that are remembered at most, of each kind. */
const mostAnswers = 1_000;

/** Longer ones are no tokens of a cluster. */
const longestToken = 16_384;

/** Who asks, as a SubjectAccessReview names them. */
type Subject = Pick<SubjectAccessReview["spec"], "user" | "groups" | "uid" | "extra">;

export interface AccessOptions {
  readonly nodeName: string;
  /** For TokenReviews and SubjectAccessReviews. */
  readonly client: Pick<Client, "create">;
  readonly clock: Clock;
}

/**
 * Who may ask the kubelet: clients with a certificate of the cluster's authority or a bearer token that the API knows, for what RBAC gives
 * them on `nodes/metrics`, `nodes/stats`, `nodes/log`, `nodes/healthz`, `nodes/pods` or, for everything, `nodes/proxy` (kubelet authentication and
 * authorization; KEP-2862). Throws `RequestError` 401, 403, or 503 when the API cannot be asked.
 */
export function createAccess({ nodeName, client, clock }: AccessOptions): (request: IncomingMessage) => Promise<void> {
  const tokens = createMemory<Subject | undefined>(clock);
  const decisions = createMemory<boolean>(clock);

  async function ownerOf(token: string): Promise<Remembered<Subject | undefined>> {
    const { status } = await client.create(reviewResources.TokenReview, { metadata: { name: "" }, spec: { token } });
    const { username, groups, uid, extra } = status?.user ?? {};
    if (!status?.authenticated || !username) return { answer: undefined, holds: 0 };
    const answer = { user: username, ...(groups && { groups }), ...(uid && { uid }), ...(extra && { extra }) };
    return { answer, holds: tokenMs };
  }

  async function decide(spec: SubjectAccessReview["spec"]): Promise<Remembered<boolean>> {
    const { status } = await client.create(reviewResources.SubjectAccessReview, { metadata: { name: "" }, spec });
    const answer = status?.allowed === true;
    return { answer, holds: answer ? allowedMs : deniedMs };
  }

  /** Any of the subresources is enough. */
  async function isAllowed(subject: Subject, verb: string, subresources: readonly string[]): Promise<boolean> {
    for (const subresource of subresources) {
      const resourceAttributes = { verb, group: "", version: "v1", resource: "nodes", subresource, name: nodeName };
      const spec = { ...subject, resourceAttributes };
      if (await decisions(JSON.stringify(spec), () => decide(spec))) return true;
    }
    return false;
  }

  async function subjectOf(request: IncomingMessage): Promise<Subject | undefined> {
    const certified = certifiedSubject(request.socket as TLSSocket);
    if (certified) return certified;
    const [, token] = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? "") ?? [];
    return token === undefined || token.length > longestToken ? undefined : await tokens(token, () => ownerOf(token));
  }

  return async (request) => {
    let subject: Subject | undefined;
    const [verb, subresources] = attributesOf(request);
    try {
      subject = await subjectOf(request);
      if (subject && isTrusted(subject, request.socket as TLSSocket)) return;
      if (subject && (await isAllowed(subject, verb, subresources))) return;
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new RequestError(503, `the API could not be asked whether this is allowed: ${why}`);
    }
    if (!subject) throw new RequestError(401, "Unauthorized");
    throw new RequestError(
      403,
      `Forbidden (user=${subject.user ?? ""}, verb=${verb}, resource=nodes, subresource(s)=[${subresources.join(" ")}])`,
    );
  };
}

function certifiedSubject(socket: TLSSocket): Subject | undefined {
  if (!socket.authorized) return undefined;
  const { O: organizations = [], CN: name } = socket.getPeerCertificate().subject ?? {};
  if (typeof name !== "string") return undefined;
  const groups = Array.isArray(organizations) ? organizations : [organizations];
  return { user: name, groups: [...groups, "system:authenticated"] };
}

/** A certificate alone makes trusted: names and groups of a token are what its issuer says. */
function isTrusted({ user = "", groups = [] }: Subject, { authorized }: TLSSocket): boolean {
  return authorized && (trustedNames.includes(user) || groups.some((group) => trustedGroups.includes(group)));
}

const verbs: Readonly<Record<string, string>> = { POST: "create", PUT: "update", PATCH: "patch", DELETE: "delete" };
const streams = ["exec", "attach", "portForward"];

/** The subresources of a Node that the first part of a path stands for: any of them is enough. All other paths are `nodes/proxy`. */
const subresourcesOf: Readonly<Record<string, readonly string[]>> = {
  stats: ["stats"],
  metrics: ["metrics"],
  logs: ["log"],
  pods: ["pods", "proxy"],
  healthz: ["healthz", "proxy"],
};

/**
 * What a request asks for. Streams into containers need "create", however they are opened: a WebSocket's GET would else let those run
 * commands who may only read.
 */
function attributesOf({ url = "/", method = "" }: IncomingMessage): [verb: string, subresources: readonly string[]] {
  const [, first = ""] = new URL(url, "https://kubelet").pathname.split("/");
  const verb = streams.includes(first) ? "create" : (verbs[method] ?? "get");
  return [verb, Object.hasOwn(subresourcesOf, first) ? (subresourcesOf[first] ?? []) : ["proxy"]];
}

/** An answer, and how many milliseconds it holds. */
interface Remembered<T> {
  readonly answer: T;
  readonly holds: number;
}

/** Asks once for a key, and again when the answer holds no longer. Keys may be secret: only their digests are kept. */
function createMemory<T>(clock: Clock): (key: string, ask: () => Promise<Remembered<T>>) => Promise<T> {
  const answers = new Map<string, { readonly answer: T; readonly until: number }>();
  return async (key, ask) => {
    const digest = createHash("sha256").update(key).digest("base64");
    const known = answers.get(digest);
    if (known && known.until > clock.now()) return known.answer;
    answers.delete(digest);
    const { answer, holds } = await ask();
    if (holds > 0) answers.set(digest, { answer, until: clock.now() + holds });
    const [oldest] = answers.keys();
    if (answers.size > mostAnswers && oldest !== undefined) answers.delete(oldest);
    return answer;
  };
}
