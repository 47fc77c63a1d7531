import { createStrategy } from "../base-strategy.ts";
import { resources } from "../resource.ts";
import { fault } from "../validation/fault.ts";

export const leaseStrategy = createStrategy(resources.Lease, {
  allowUnconditionalUpdate: false,
  allowCreateOnUpdate: true,
  defaults(lease) {
    lease.spec ??= {};
  },
  *validate({ spec }) {
    const { leaseDurationSeconds: seconds, leaseTransitions: transitions } = spec;
    if (seconds !== undefined && seconds <= 0) {
      yield fault.invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0");
    }
    if (transitions !== undefined && transitions < 0) {
      yield fault.invalid("spec.leaseTransitions", transitions, "must be greater than or equal to 0");
    }
  },
});
