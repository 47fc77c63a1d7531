import { createStrategy } from "../base-strategy.ts";
import { resources } from "../resource.ts";

export const flowSchemaStrategy = createStrategy(resources.FlowSchema, {
  generationOf: (schema) => schema.spec,
  defaults({ spec }) {
    spec.matchingPrecedence ||= 1000;
  },
});

export const priorityLevelConfigurationStrategy = createStrategy(resources.PriorityLevelConfiguration, {
  generationOf: (level) => level.spec,
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
});
