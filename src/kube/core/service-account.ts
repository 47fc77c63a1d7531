import { createStrategy } from "../base-strategy.ts";
import { resources } from "../resource.ts";

export const serviceAccountStrategy = createStrategy(resources.ServiceAccount, {});
