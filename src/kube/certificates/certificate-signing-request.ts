import { createStrategy } from "../base-strategy.ts";
import type { CertificateSigningRequest, CertificateSigningRequestCondition as Condition } from "../generated/types.ts";
import type { KubeObject } from "../object.ts";
import { resources } from "../resource.ts";
import type { Strategy, StrategyContext } from "../strategy.ts";
import { fault, type Faults } from "../validation/fault.ts";
import { cloneJson } from "../values/equal.ts";
import { isDns1123Subdomain, isPathSegment } from "../values/names.ts";

/** Uses of a certificate that a request may name. */
export const certificateUsages = [
  "any",
  "cert sign",
  "client auth",
  "code signing",
  "content commitment",
  "crl sign",
  "data encipherment",
  "decipher only",
  "digital signature",
  "email protection",
  "encipher only",
  "ipsec end system",
  "ipsec tunnel",
  "ipsec user",
  "key agreement",
  "key encipherment",
  "microsoft sgc",
  "netscape sgc",
  "ocsp signing",
  "s/mime",
  "server auth",
  "signing",
  "timestamping",
] as const;

const shortest = 600;
const decisions: ReadonlySet<string> = new Set(["Approved", "Denied"]);

const base = createStrategy(resources.CertificateSigningRequest, {
  name: isPathSegment,
  prepareForCreate({ spec }, { user }) {
    // Who asks is what the server knows, not what the request says.
    for (const field of ["username", "uid", "groups", "extra"] as const) delete spec[field];
    if (!user) return;
    spec.username = user.name;
    spec.groups = [...user.groups];
    if (user.uid) spec.uid = user.uid;
    if (user.extra && Object.keys(user.extra).length > 0)
      spec.extra = Object.fromEntries(Object.entries(user.extra).map(([key, values]) => [key, [...values]]));
  },
  prepareForUpdate(request, old) {
    request.spec = cloneJson(old.spec);
  },
  prepareStatus(request, old, context) {
    const { conditions = [], ...status } = request.status ?? {};
    const kept = (old.status?.conditions ?? []).filter(({ type }) => decisions.has(type));
    const given = conditions.filter(({ type }) => !decisions.has(type));
    setConditions(request, old, [...kept, ...given], status, context);
  },
  *validate(request, _context, old) {
    if (!old) yield* validateSpec(request.spec);
  },
  *validateStatus(request, old) {
    yield* validateConditions(request);
    const before = old.status?.certificate;
    if (before && request.status?.certificate !== before)
      yield fault.forbidden("status.certificate", "updates may not modify existing certificate content");
    const certificate = request.status?.certificate;
    if (certificate && !/-----BEGIN CERTIFICATE-----/.test(Buffer.from(certificate, "base64").toString()))
      yield fault.invalid(
        "status.certificate",
        "<certificate data>",
        "must contain at least one CERTIFICATE PEM block",
      );
  },
  selectableFields: ({ spec }) => ({ "spec.signerName": spec?.signerName ?? "" }),
});

/**
 * Requests for certificates: what is asked for never changes, who asks is set by the server; `approval` writes the conditions `Approved`
 * and `Denied`, which stay, `status` the certificate and the others.
 */
export const certificateSigningRequestStrategy: Strategy = {
  ...base,
  prepareForUpdate(object, old, context) {
    if (context.subresource !== "approval") {
      base.prepareForUpdate(object, old, context);
      return;
    }
    const request = object as CertificateSigningRequest;
    const before = old as CertificateSigningRequest;
    request.spec = cloneJson(before.spec);
    const { conditions: _conditions, ...status } = before.status ?? {};
    setConditions(request, before, request.status?.conditions ?? [], status, context);
  },
  validateUpdate(object, old, context) {
    const faults = [...base.validateUpdate(object, old, context)];
    if (context.subresource !== "approval") return faults;
    const types = conditionTypes(object);
    const removed = conditionTypes(old).filter((type) => lasting.has(type) && !types.includes(type));
    return [
      ...faults,
      ...validateConditions(object as CertificateSigningRequest),
      ...removed.map((type) =>
        fault.forbidden("status.conditions", `updates may not remove a condition of type ${JSON.stringify(type)}`),
      ),
    ];
  },
};

/** Conditions that nobody may take back. */
const lasting: ReadonlySet<string> = new Set(["Approved", "Denied", "Failed"]);

function conditionTypes(object: KubeObject): string[] {
  return ((object as CertificateSigningRequest).status?.conditions ?? []).map(({ type }) => type);
}

/** Conditions with the times at which they came and last changed. */
function setConditions(
  request: CertificateSigningRequest,
  old: CertificateSigningRequest,
  conditions: readonly Condition[],
  status: NonNullable<CertificateSigningRequest["status"]>,
  { now }: StrategyContext,
): void {
  const before = new Map(old.status?.conditions?.map((one) => [one.type, one]));
  const timed = conditions.map((condition): Condition => {
    const known = before.get(condition.type);
    return {
      ...condition,
      lastUpdateTime: condition.lastUpdateTime ?? now,
      lastTransitionTime:
        condition.lastTransitionTime ??
        (known?.status === condition.status ? known.lastTransitionTime : undefined) ??
        now,
    };
  });
  request.status = { ...status, ...(timed.length > 0 ? { conditions: timed } : {}) };
}

function* validateSpec({
  request,
  signerName,
  usages = [],
  expirationSeconds,
}: CertificateSigningRequest["spec"]): Faults {
  const text = Buffer.from(request ?? "", "base64").toString();
  if (!/^\s*-----BEGIN (NEW )?CERTIFICATE REQUEST-----[\s\S]+-----END (NEW )?CERTIFICATE REQUEST-----\s*$/.test(text))
    yield fault.invalid("spec.request", request ?? "", "PEM block type must be CERTIFICATE REQUEST");
  if (usages.length === 0) yield fault.required("spec.usages");
  for (const [i, usage] of usages.entries()) {
    if (!(certificateUsages as readonly string[]).includes(usage))
      yield fault.notSupported(`spec.usages[${i}]`, usage, certificateUsages);
    if (usages.indexOf(usage) !== i) yield fault.duplicate(`spec.usages[${i}]`, usage);
  }
  yield* validateSignerName(signerName ?? "");
  if (expirationSeconds !== undefined && expirationSeconds < shortest)
    yield fault.invalid(
      "spec.expirationSeconds",
      expirationSeconds,
      "may not specify a duration less than 600 seconds (10 minutes)",
    );
}

function* validateSignerName(name: string): Faults {
  const field = "spec.signerName";
  if (!name) {
    yield fault.required(field);
    return;
  }
  const [domain = "", ...path] = name.split("/");
  if (path.length !== 1 || !path[0] || !domain.includes(".") || isDns1123Subdomain(domain).length > 0)
    yield fault.invalid(field, name, "must be a fully qualified domain and path of the form 'example.com/signer-name'");
}

function* validateConditions({ status }: CertificateSigningRequest): Faults {
  const conditions = status?.conditions ?? [];
  const types = conditions.map(({ type }) => type);
  for (const [i, { type, status: value }] of conditions.entries()) {
    const at = `status.conditions[${i}]`;
    if (!type) yield fault.required(`${at}.type`);
    else if (types.indexOf(type) !== i) yield fault.duplicate(`${at}.type`, type);
    if (!value) yield fault.required(`${at}.status`);
    else if ((decisions.has(type) || type === "Failed") && value !== "True")
      yield fault.notSupported(`${at}.status`, value, ["True"]);
  }
  if (types.includes("Approved") && types.includes("Denied"))
    yield fault.invalid("status.conditions", "Denied", "Approved and Denied conditions are mutually exclusive");
}
