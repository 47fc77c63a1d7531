import { type Client, type EventRecorder, type Informers, messageOf, startController } from "../../client/index.ts";
import { isStatus, keyOf, resources, type Secret } from "../../kube/index.ts";
import {
  challengeFor,
  challengeProtocol,
  type ChallengeType,
  type GatewayTranslation,
  listenerName,
  matchOn,
  type Translation,
} from "../../routing/index.ts";
import type { Clock, Component, Logger } from "../../system/index.ts";
import type { KeyPair } from "../dataplane.ts";
import { challengePath } from "./answers.ts";
import { type Asker, askedByIngresses, askedByListeners, gatewayOf, isIngress, listenersOf } from "./asks.ts";
import { type Challenges, startChallenges } from "./challenges.ts";
import { type Challenge, issueCertificate } from "./issue.ts";
import { AcmeError, openAcmeSession } from "./protocol.ts";
import { newAccountKey } from "./request.ts";
import {
  issuerAnnotation,
  nextStep,
  type Unprovable,
  type Wanted,
  type WantedCertificate,
  wantedCertificates,
} from "./wanted.ts";

export interface AcmeOptions {
  readonly client: Client;
  readonly informers: Informers;
  /** What the Ingress controller serves now. */
  readonly current: () => Translation | undefined;
  /** What the Gateway controller serves now. Absent where Gateways are not served. */
  readonly gateways?: () => GatewayTranslation | undefined;
  /** URL of the ACME server's directory. Whoever gives it has agreed to its terms. */
  readonly directory: string;
  readonly email?: string;
  /** PEM of authorities for the server's own certificate, beside those of the machine. */
  readonly ca?: string;
  /** Secret with the account's key; made when it is not there. */
  readonly account: { readonly namespace: string; readonly name: string };
  /** Where data planes reach this process. */
  readonly address: () => string;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
  readonly events: EventRecorder;
}

/** Gets and renews certificates. One process of several runs it. */
export interface Acme extends Component {
  /** `current` or `gateways` answers differently now. */
  refresh(): void;
}

/** Milliseconds after a failure: doubled with each, to at most a quarter of a day. Authorities count failures by the hour. */
const firstRetry = 60_000;
const longestRetry = 6 * 3_600_000;
/** A timer holds no more than 24 days; and clocks are set. */
const longestWait = 12 * 3_600_000;
/** Milliseconds for one certificate. */
const patience = 10 * 60_000;

/**
 * Certificates by ACME (RFC 8555) for the Ingresses, Gateways and ListenerSets that ask for them by an annotation, proved by HTTP-01 or
 * TLS-ALPN-01 through the data planes themselves. What became of it is told by events on these objects. A Secret that was not made here is never touched.
 */
export async function startAcme(options: AcmeOptions): Promise<Acme> {
  const { client, informers, directory, signal, clock, log, events } = options;
  const secrets = informers.of(resources.Secret);
  let wanted: Wanted = { certificates: new Map(), unprovable: [] };
  const failures = new Map<string, { readonly count: number; readonly until: number }>();
  const told = new Map<string, string>();
  const challenges: Challenges = await startChallenges({
    client,
    address: options.address,
    isServed,
    gateways: options.gateways !== undefined,
    clock,
    signal,
  });

  const controller = startController({
    name: "acme",
    after: [secrets.synced],
    reconcile: async (key) => {
      if (key === "sweep") return challenges.sweep();
      const certificate = wanted.certificates.get(key);
      if (certificate) await look(key, certificate);
    },
    signal,
    clock,
    log,
  });
  secrets.onChange(({ before, after }) => {
    const changed = after ?? before;
    if (changed && wanted.certificates.has(keyOf(changed))) controller.enqueue(keyOf(changed));
  });
  controller.enqueue("sweep");

  function isServed(asker: Asker, { type, host, token }: Challenge, route: string): boolean {
    const clear = type === "http-01";
    const model = (isIngress(asker) ? options.current() : options.gateways?.())?.model;
    const ofIngresses = clear ? "http" : "https";
    const name = isIngress(asker) ? ofIngresses : listenerName(gatewayOf(asker), "TCP", clear ? 80 : 443);
    const listener = model?.listeners.find((each) => each.name === name);
    if (!listener) return false;
    if (!clear)
      return challengeFor(listener, { serverName: host, protocols: [challengeProtocol] })?.owner.object.name === route;
    const path = challengePath + token;
    const request = { host, path, query: "", method: "GET", header: () => undefined, serverName: undefined };
    const found = listener.protocol === "HTTP" ? matchOn(listener, request) : undefined;
    return found?.outcome === "route" && found.route.owner.object.name === route;
  }

  /** Says a thing once, until something else is to be said of it. */
  function tell(key: string, about: Iterable<Asker>, type: "Normal" | "Warning", reason: string, text: string): void {
    if (told.get(key) === text) return;
    told.set(key, text);
    for (const asker of about) events.event(asker, type, reason, text);
  }

  async function look(key: string, certificate: WantedCertificate): Promise<void> {
    const now = clock.now();
    const secret = secrets.get(certificate);
    const step = nextStep(certificate, secret, directory, now);
    if (step.act === "leave") return tell(key, certificate.askers.keys(), "Warning", "CertificateNotOurs", step.why);
    if (step.act === "wait") {
      failures.delete(key);
      return later(key, step.until);
    }
    const failed = failures.get(key);
    if (failed && failed.until > now) return later(key, failed.until);
    try {
      const pair = await issue(certificate);
      await write(certificate, secret, pair);
      failures.delete(key);
      const text = `Secret ${key} has a certificate for ${certificate.hosts.join(", ")} (${step.why})`;
      tell(key, certificate.askers.keys(), "Normal", "CertificateIssued", text);
    } catch (error) {
      signal.throwIfAborted();
      const count = (failed?.count ?? 0) + 1;
      const asked = error instanceof AcmeError ? (error.retryAfter ?? 0) : 0;
      const until = clock.now() + Math.max(asked, Math.min(firstRetry * 2 ** (count - 1), longestRetry));
      failures.set(key, { count, until });
      const why = error instanceof AcmeError ? `${error.code}: ${error.message}` : messageOf(error);
      const text = `no certificate for ${certificate.hosts.join(", ")}: ${why}`;
      log.warn({ secret: key, again: new Date(until).toISOString() }, text);
      tell(key, certificate.askers.keys(), "Warning", "CertificateNotIssued", text);
      later(key, until);
    }
  }

  const later = (key: string, until: number): void =>
    controller.enqueueAfter(key, Math.min(Math.max(0, until - clock.now()), longestWait));

  async function issue(certificate: WantedCertificate): Promise<KeyPair> {
    const bounded = AbortSignal.any([signal, AbortSignal.timeout(patience)]);
    const session = await openAcmeSession({
      directory,
      accountKey: await accountKey(),
      ...(options.email === undefined ? {} : { email: options.email }),
      ...(options.ca === undefined ? {} : { ca: options.ca }),
      clock,
      signal: bounded,
    });
    try {
      const present = (list: Parameters<Challenges["present"]>[1]) => challenges.present(certificate, list);
      const typeOf = (host: string): ChallengeType => certificate.types.get(host) ?? "http-01";
      return await issueCertificate(session, certificate.hosts, { typeOf, clock, signal: bounded, present });
    } finally {
      await session.close();
    }
  }

  async function accountKey(): Promise<string> {
    const { account } = options;
    const text = (secret: Secret): string => Buffer.from(secret.data?.["key.pem"] ?? "", "base64").toString("utf8");
    try {
      return text(await client.get(resources.Secret, account));
    } catch (error) {
      if (!isStatus(error, "NotFound")) throw error;
    }
    const data = { "key.pem": Buffer.from(await newAccountKey()).toString("base64") };
    return text(await client.create(resources.Secret, { metadata: { ...account }, type: "Opaque", data }, { signal }));
  }

  async function write(
    { namespace, name }: WantedCertificate,
    before: Secret | undefined,
    pair: KeyPair,
  ): Promise<void> {
    const data = {
      "tls.crt": Buffer.from(pair.certificate).toString("base64"),
      "tls.key": Buffer.from(pair.key).toString("base64"),
    };
    const annotations = { [issuerAnnotation]: directory };
    if (before)
      await client.patch(
        resources.Secret,
        { namespace, name },
        { type: "merge", body: { metadata: { annotations }, data } },
        { signal },
      );
    else
      await client.create(
        resources.Secret,
        { metadata: { namespace, name, annotations }, type: "kubernetes.io/tls", data },
        { signal },
      );
  }

  return {
    name: "acme",
    ready: controller.ready,
    stopped: controller.stopped.finally(() => challenges.close()),
    refresh() {
      const next = wantedCertificates([
        ...askedByIngresses(options.current()?.served ?? []),
        ...askedByListeners((options.gateways?.()?.gateways ?? []).flatMap(listenersOf)),
      ]);
      const before = wanted;
      wanted = next;
      for (const [key, certificate] of next.certificates) {
        const known = before.certificates.get(key);
        const same = known !== undefined && questionOf(known) === questionOf(certificate);
        // Other names, or other proofs, are another question than the one that failed.
        if (!same) failures.delete(key);
        if (!same) controller.enqueue(key);
      }
      const unprovable = new Set(next.unprovable.map(placeOf));
      for (const key of told.keys()) if (!next.certificates.has(key) && !unprovable.has(key)) told.delete(key);
      for (const key of failures.keys()) if (!next.certificates.has(key)) failures.delete(key);
      for (const each of next.unprovable) {
        const text = `${each.field}: ${JSON.stringify(each.host)} ${each.why}. To mend it: name another host or proof, or bring a certificate`;
        tell(placeOf(each), [each.asker], "Warning", "CertificateNotPossible", text);
      }
    },
  };
}

const questionOf = ({ hosts, types }: WantedCertificate): string =>
  hosts.map((host) => `${host} ${types.get(host) ?? ""}`).join();

const placeOf = ({ asker, field, host }: Unprovable): string => `${asker.kind} ${keyOf(asker)} ${field} ${host}`;
