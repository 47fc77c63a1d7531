import { createStrategy } from "../base-strategy.ts";
import type {
  ExemptPriorityLevelConfiguration,
  LimitedPriorityLevelConfiguration,
  LimitResponse,
  PriorityLevelConfigurationSpec,
  QueuingConfiguration,
} from "../generated/types.ts";
import { resources } from "../resource.ts";
import { fault, type Faults } from "../validation/fault.ts";
import { validateOneOf } from "../validation/ports.ts";
import { semanticEqual } from "../values/equal.ts";
import { validateLevelConditions } from "./conditions.ts";
import { mandatoryPriorityLevels } from "./mandatory.ts";

const mostQueues = 10_000_000;
/** Bits of the hash by which a hand of queues is dealt. */
const hashBits = 60;

/** How many requests of one priority run at once, and how others wait (KEP-1040). */
export const priorityLevelConfigurationStrategy = createStrategy(resources.PriorityLevelConfiguration, {
  generationOf: (level) => level.spec,
  statusKeeps: "metadata",
  defaults({ spec }) {
    const { exempt, limited } = spec;
    if (exempt) {
      exempt.nominalConcurrencyShares ??= 0;
      exempt.lendablePercent ??= 0;
    }
    if (!limited) return;
    limited.nominalConcurrencyShares ??= 30;
    limited.lendablePercent ??= 0;
    const queuing = limited.limitResponse?.queuing;
    if (!queuing) return;
    queuing.handSize ||= 8;
    queuing.queues ||= 64;
    queuing.queueLengthLimit ||= 50;
  },
  *validate({ metadata, spec, status }) {
    yield* validateSpec(metadata.name, spec);
    yield* validateFixed(metadata.name, spec);
    yield* validateLevelConditions(status?.conditions ?? []);
  },
  validateStatus: ({ status }) => validateLevelConditions(status?.conditions ?? []),
});

function* validateFixed(name: string, spec: PriorityLevelConfigurationSpec): Faults {
  if (name === "exempt") {
    // What of it may differ is in the one field that is left out.
    const { exempt: _free, ...rest } = spec;
    const text = `spec of '${name}' except the 'spec.exempt' field must equal the fixed value`;
    if (!semanticEqual(rest, { type: "Exempt" })) yield fault.invalid("spec", spec, text);
  } else if (name === "catch-all" && !semanticEqual(spec, mandatoryPriorityLevels["catch-all"]))
    yield fault.invalid("spec", spec, `spec of '${name}' must equal the fixed value`);
}

function* validateSpec(name: string, { type, limited, exempt }: PriorityLevelConfigurationSpec): Faults {
  if ((name === "exempt") !== (type === "Exempt"))
    yield fault.invalid("spec.type", type, "must be 'Exempt' if and only if `name` is 'exempt'");
  if (type === "Exempt") {
    if (limited) yield fault.forbidden("spec.limited", "must be nil if the type is not Limited");
    if (exempt) yield* validateExempt(exempt, "spec.exempt");
  } else if (type === "Limited") {
    if (exempt) yield fault.forbidden("spec.exempt", "must be nil if the type is Limited");
    if (!limited) yield fault.required("spec.limited", "must not be empty when type is Limited");
    else yield* validateLimited(limited, "spec.limited");
  } else yield* validateOneOf(type, ["Exempt", "Limited"], "spec.type");
}

function* validateExempt(exempt: ExemptPriorityLevelConfiguration, path: string): Faults {
  yield* validateShares(exempt.nominalConcurrencyShares, `${path}.nominalConcurrencyShares`);
  yield* validatePercent(exempt.lendablePercent, `${path}.lendablePercent`);
}

function* validateShares(shares: number | undefined, path: string): Faults {
  if (shares !== undefined && shares < 0) yield fault.invalid(path, shares, "must be a non-negative integer");
}

function* validatePercent(percent: number | undefined, path: string): Faults {
  if (percent !== undefined && (percent < 0 || percent > 100))
    yield fault.invalid(path, percent, "must be between 0 and 100, inclusive");
}

function* validateLimited(limited: LimitedPriorityLevelConfiguration, path: string): Faults {
  const { nominalConcurrencyShares, lendablePercent, borrowingLimitPercent: borrowed, limitResponse } = limited;
  yield* validateShares(nominalConcurrencyShares, `${path}.nominalConcurrencyShares`);
  yield* validateResponse(limitResponse ?? { type: "" }, `${path}.limitResponse`);
  yield* validatePercent(lendablePercent, `${path}.lendablePercent`);
  if (borrowed !== undefined && borrowed < 0)
    yield fault.invalid(`${path}.borrowingLimitPercent`, borrowed, "if specified, must be a non-negative integer");
}

function* validateResponse({ type, queuing }: LimitResponse, path: string): Faults {
  // The words name another field than they mean, as upstream's do.
  const at = `${path}.queuing`;
  if (type === "Reject") {
    if (queuing) yield fault.forbidden(at, "must be nil if limited.limitResponse.type is not Limited");
  } else if (type === "Queue") {
    if (!queuing) yield fault.required(at, "must not be empty if limited.limitResponse.type is Limited");
    else yield* validateQueuing(queuing, at);
  } else yield* validateOneOf(type, ["Queue", "Reject"], `${path}.type`);
}

function* validateQueuing(
  { queues = 0, handSize = 0, queueLengthLimit = 0 }: QueuingConfiguration,
  path: string,
): Faults {
  if (queueLengthLimit <= 0) yield fault.invalid(`${path}.queueLengthLimit`, queueLengthLimit, "must be positive");
  if (queues <= 0) yield fault.invalid(`${path}.queues`, queues, "must be positive");
  else if (queues > mostQueues) yield fault.invalid(`${path}.queues`, queues, `must not be greater than ${mostQueues}`);
  const bits = Math.ceil(Math.log2(queues) * handSize);
  const at = `${path}.handSize`;
  if (handSize <= 0) yield fault.invalid(at, handSize, "must be positive");
  else if (handSize > queues) yield fault.invalid(at, handSize, `should not be greater than queues (${queues})`);
  else if (bits > hashBits) {
    const text = `required entropy bits of deckSize ${queues} and handSize ${handSize} should not be greater than ${hashBits}`;
    yield fault.invalid(at, handSize, text);
  }
}
