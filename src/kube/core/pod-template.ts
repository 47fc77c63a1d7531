import { createStrategy } from "../base-strategy.ts";
import { defaultTemplate } from "../apps/pod-template.ts";
import { resources } from "../resource.ts";
import { validatePodTemplate } from "./pod-validation.ts";
import { podWarnings } from "./pod-warnings.ts";

/** A template that is an object of its own. */
export const podTemplateStrategy = createStrategy(resources.PodTemplate, {
  generationOf: ({ template }) => template,
  defaults: (object) => defaultTemplate(object),
  warnings: ({ template }) => podWarnings(template, "template"),
  validate: ({ template = {} }) => validatePodTemplate(template, "template"),
});
